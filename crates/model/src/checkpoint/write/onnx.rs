//! Writes checkpoints as ONNX, for other engines. The graph is a chain of convolutions, with batch
//! normalisation as nodes or, in a folded checkpoint, as biases.

use std::path::Path;

use mobilenet_kernels::{Axis, ConvGeometry};
use prost::Message;

use super::onnx_messages::{
    Attribute, Dimension, Entry, Graph, Initializer, Model, Node, Opset, Shape, TensorType, Type,
    ValueInfo,
};
use crate::architecture::{LOGITS_LAYER, body_layers, feature_channels, parameters};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::metadata::{KEY, SavedActivation};
use crate::checkpoint::model::Checkpoint;
use crate::endpoint::LayerKind;
use crate::file::write_atomically;
use crate::pooling::POOL_WINDOW;

/// IR version of ONNX 1.12, which all current engines read.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Name of the input.
const INPUT: &str = "pixels";

/// ONNX's number for f32.
const FLOAT: i32 = 1;

/// Writes a checkpoint as ONNX.
///
/// The input `pixels` is the preprocessed image, `[N, channels, rows, columns]`, with the
/// checkpoint's image size and any batch size. The output is `logits` `[N, classes]`, or `features`
/// `[N, channels]` without a classifier. Our metadata is included. An existing file is replaced
/// atomically.
///
/// # Errors
/// If the head does not average the whole map, or the file cannot be written.
pub fn save_onnx(path: &Path, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let failed = |problem: String| CheckpointError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let model = model(checkpoint).map_err(failed)?;
    write_atomically(path, &model.encode_to_vec()).map_err(|error| failed(error.to_string()))
}

fn model(checkpoint: &Checkpoint) -> Result<Model, String> {
    let metadata = &checkpoint.metadata;
    let config = metadata.config();
    let mut initializer = parameters(&config)
        .map_err(|error| error.to_string())?
        .iter()
        .map(|parameter| {
            let name = parameter.name();
            let tensor = checkpoint.parameters.get(&name);
            let tensor = tensor.ok_or_else(|| format!("{name} is missing"))?;
            Ok(initial(&name, &parameter.shape, tensor.values()))
        })
        .collect::<Result<Vec<_>, String>>()?;
    initializer.push(initial(LOW, &[], &[0.0]));
    initializer.push(initial(HIGH, &[], &[6.0]));

    let mut nodes = Nodes {
        last: INPUT.to_string(),
        ..Nodes::default()
    };
    let mut size = metadata.preprocessing.size;
    for layer in body_layers(&config.base).map_err(|error| error.to_string())? {
        let resolved = layer
            .size(1, size[0], size[1])
            .map_err(|error| error.to_string())?;
        let name = layer.endpoint.to_string();
        let groups = match layer.endpoint.kind {
            LayerKind::Depthwise => layer.in_channels,
            LayerKind::Conv | LayerKind::Pointwise => 1,
        };
        let axes = [resolved.rows, resolved.columns];
        let mut inputs = vec![format!("{name}.weight")];
        if metadata.folded {
            inputs.push(format!("{name}.bias"));
        }
        let attributes = conv_attributes(&layer.geometry, groups, axes);
        nodes.push("Conv", &name, &inputs, attributes);
        if !metadata.folded {
            let parts = ["weight", "bias", "running_mean", "running_var"];
            let inputs = parts.map(|part| format!("{name}.batch_norm.{part}"));
            let epsilon = float("epsilon", metadata.batch_norm_epsilon as f32);
            let name = format!("{name}.batch_norm");
            nodes.push("BatchNormalization", &name, &inputs, vec![epsilon]);
        }
        let name = format!("{name}.activation");
        match metadata.activation {
            SavedActivation::Relu6 => {
                nodes.push("Clip", &name, &[LOW, HIGH].map(String::from), vec![])
            }
            SavedActivation::Relu => nodes.push("Relu", &name, &[], vec![]),
        }
        size = axes.map(|axis| axis.output);
    }
    if !config.global_pool && size.iter().any(|&side| side > POOL_WINDOW) {
        return Err(format!(
            "the head averages {POOL_WINDOW}x{POOL_WINDOW} of a map of {size:?}, and only the whole \
             map can be written"
        ));
    }
    nodes.push("GlobalAveragePool", "pool", &[], vec![]);
    let (output, width) = match config.classes() {
        Some(classes) => {
            let inputs = ["weight", "bias"].map(|part| format!("{LOGITS_LAYER}.{part}"));
            nodes.push("Conv", LOGITS_LAYER, &inputs, vec![]);
            ("logits", classes)
        }
        None => {
            let features = feature_channels(&config.base);
            ("features", features.map_err(|error| error.to_string())?)
        }
    };
    nodes.push("Flatten", output, &[], vec![]);

    let json = serde_json::to_string(metadata).map_err(|error| error.to_string())?;
    let [rows, columns] = metadata.preprocessing.size;
    Ok(Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_string(),
        graph: Some(Graph {
            node: nodes.list,
            name: "mobilenet_v1".to_string(),
            initializer,
            input: vec![value_info(INPUT, &[metadata.in_channels, rows, columns])],
            output: vec![value_info(output, &[width])],
        }),
        opset_import: vec![Opset { version: OPSET }],
        metadata_props: vec![Entry {
            key: KEY.to_string(),
            value: json,
        }],
    })
}

/// Bounds of ReLU6.
const LOW: &str = "relu6.low";
const HIGH: &str = "relu6.high";

/// A chain of nodes. Each has the name of its output.
#[derive(Default)]
struct Nodes {
    list: Vec<Node>,
    last: String,
}

impl Nodes {
    fn push(&mut self, op: &str, name: &str, parameters: &[String], attribute: Vec<Attribute>) {
        let mut input = vec![std::mem::replace(&mut self.last, name.to_string())];
        input.extend_from_slice(parameters);
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
fn conv_attributes(geometry: &ConvGeometry, groups: usize, axes: [Axis; 2]) -> Vec<Attribute> {
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
        Attribute {
            name: "group".to_string(),
            i: Some(groups as i64),
            kind: 2,
            ..Attribute::default()
        },
    ]
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    Attribute {
        name: name.to_string(),
        ints: values.iter().map(|&value| value as i64).collect(),
        kind: 7,
        ..Attribute::default()
    }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute {
        name: name.to_string(),
        f: Some(value),
        kind: 1,
        ..Attribute::default()
    }
}

fn initial(name: &str, shape: &[usize], values: &[f32]) -> Initializer {
    Initializer {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: FLOAT,
        name: name.to_string(),
        raw_data: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

/// A tensor of this shape, after a batch axis of any size.
fn value_info(name: &str, shape: &[usize]) -> ValueInfo {
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
