//! Parts of ONNX graphs: a chain of nodes, constants, inputs and outputs.

use mobilenet_kernels::{Axis, ConvGeometry};

use super::messages::{
    Attribute, Dimension, Entry, Graph, Initializer, Model, Node, Opset, Shape, TensorType, Type,
    ValueInfo,
};
use crate::checkpoint::metadata::{KEY, Metadata};
use crate::little_endian::bytes_of;

/// IR version of ONNX 1.12, which all current engines read.
const IR_VERSION: i64 = 8;

/// Name of the input.
pub(super) const INPUT: &str = "pixels";

/// Name of the graph.
pub(super) const GRAPH: &str = "mobilenet_v1";

/// ONNX's number for f32.
pub(super) const FLOAT: i32 = 1;

/// A chain of nodes. Each has the name of its output.
#[derive(Default)]
pub(super) struct Nodes {
    pub(super) list: Vec<Node>,
    pub(super) last: String,
}

impl Nodes {
    pub(super) fn push(
        &mut self,
        op: &str,
        name: &str,
        parameters: &[String],
        attribute: Vec<Attribute>,
    ) {
        let mut input = vec![std::mem::replace(&mut self.last, name.to_string())];
        input.extend_from_slice(parameters);
        self.push_aside(op, name, input, attribute);
    }

    /// Adds a node that is not of the chain.
    pub(super) fn push_aside(
        &mut self,
        op: &str,
        name: &str,
        input: Vec<String>,
        attribute: Vec<Attribute>,
    ) {
        self.list.push(Node {
            input,
            output: vec![name.to_string()],
            name: name.to_string(),
            op_type: op.to_string(),
            attribute,
        });
    }
}

/// Explicit padding for the image size of the file, which more engines support than SAME.
pub(super) fn conv_attributes(
    geometry: &ConvGeometry,
    groups: usize,
    axes: [Axis; 2],
) -> Vec<Attribute> {
    let after = axes.map(|axis| {
        let span = (axis.kernel - 1) * axis.dilation + 1;
        let covered = (axis.output - 1) * axis.stride + span;
        covered.saturating_sub(axis.before + axis.input)
    });
    let [top, left] = axes.map(|axis| axis.before);
    vec![
        ints("kernel_shape", &geometry.kernel),
        ints("strides", &[geometry.stride; 2]),
        ints("dilations", &[geometry.dilation; 2]),
        ints("pads", &[top, left, after[0], after[1]]),
        int("group", groups),
    ]
}

pub(super) fn int(name: &str, value: usize) -> Attribute {
    Attribute {
        name: name.to_string(),
        i: Some(value as i64),
        kind: 2,
        ..Attribute::default()
    }
}

pub(super) fn ints(name: &str, values: &[usize]) -> Attribute {
    Attribute {
        name: name.to_string(),
        ints: values.iter().map(|&value| value as i64).collect(),
        kind: 7,
        ..Attribute::default()
    }
}

pub(super) fn float(name: &str, value: f32) -> Attribute {
    Attribute {
        name: name.to_string(),
        f: Some(value),
        kind: 1,
        ..Attribute::default()
    }
}

pub(super) fn initial(name: &str, shape: &[usize], values: &[f32]) -> Initializer {
    Initializer {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: FLOAT,
        name: name.to_string(),
        raw_data: bytes_of(values),
    }
}

/// A tensor of this shape, after a batch axis of any size.
pub(super) fn value_info(name: &str, shape: &[usize]) -> ValueInfo {
    let batch = Dimension {
        dim_param: Some("N".to_string()),
        ..Dimension::default()
    };
    let sizes = shape.iter().map(|&size| Dimension {
        dim_value: Some(size as i64),
        ..Dimension::default()
    });
    ValueInfo {
        name: name.to_string(),
        kind: Some(Type {
            tensor_type: Some(TensorType {
                elem_type: FLOAT,
                shape: Some(Shape {
                    dim: std::iter::once(batch).chain(sizes).collect(),
                }),
            }),
        }),
    }
}

/// The file with this graph, our metadata included.
pub(super) fn finished(graph: Graph, opset: i64, metadata: &Metadata) -> Result<Model, String> {
    let json = serde_json::to_string(metadata).map_err(|error| error.to_string())?;
    Ok(Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_string(),
        graph: Some(graph),
        opset_import: vec![Opset { version: opset }],
        metadata_props: vec![Entry {
            key: KEY.to_string(),
            value: json,
        }],
    })
}
