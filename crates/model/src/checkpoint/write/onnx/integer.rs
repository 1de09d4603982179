//! The graph of a network of integers. Each activation is quantised and dequantised, and weights and
//! biases are dequantised constants; engines fuse these nodes into convolutions of integers.

use mobilenet_kernels::integer::{
    IntegerNetwork, IntegerOperation, IntegerType, Integers, Quantized, QuantizedConvolution,
    ValueKind,
};
use mobilenet_kernels::{Activation, ConvKind, Padding};

use super::graph::{
    GRAPH, INPUT, Nodes, conv_attributes, finished, initial, int, ints, value_info,
};
use super::messages::{Graph, Initializer, Model};
use crate::array::Array;
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;
use crate::little_endian::bytes_of;

/// The first with scales per channel.
const OPSET: i64 = 13;
/// ONNX's numbers of types.
const UINT8: i32 = 2;
const INT8: i32 = 3;
const INT32: i32 = 6;

/// The graph of a network of integers.
///
/// # Errors
/// If the network breaks its rules, or does what these nodes cannot express.
pub(super) fn model(network: &IntegerNetwork, metadata: &Metadata) -> Result<Model, String> {
    let [rows, columns, channels] = network.input_shape;
    let shapes = network
        .shapes([rows, columns])
        .map_err(|error| error.to_string())?;
    let mut graph = Writer {
        nodes: Nodes {
            last: INPUT.to_string(),
            ..Nodes::default()
        },
        constants: Vec::new(),
    };
    let mut shape = network.input_shape;
    let mut values = network.input;
    if let ValueKind::Quantized(quantized) = values {
        graph.requantize(INPUT, &quantized);
    }
    // A softmax at the end is left to the reader, as in our files of f32.
    let layers = network.layers.iter().zip(shapes);
    let layers =
        layers.filter(|(layer, _)| !matches!(layer.operation, IntegerOperation::Softmax { .. }));
    for (layer, output_shape) in layers {
        let name = &layer.name;
        match &layer.operation {
            IntegerOperation::Quantize | IntegerOperation::Dequantize => {}
            IntegerOperation::Convolution(conv) => match values {
                ValueKind::Quantized(input) => graph.conv(name, conv, &input, shape)?,
                ValueKind::F32 => return Err(format!("{name}: its input is no integers")),
            },
            IntegerOperation::AveragePool(window) => {
                if window.padding != Padding::VALID {
                    return Err(format!(
                        "{name} pads, which no pool in ONNX does in the same way"
                    ));
                }
                let attributes = vec![
                    ints("kernel_shape", &window.kernel),
                    ints("strides", &[window.stride; 2]),
                ];
                graph.nodes.push("AveragePool", name, &[], attributes);
            }
            IntegerOperation::Mean => graph.nodes.push("GlobalAveragePool", name, &[], vec![]),
            IntegerOperation::Flatten if shape[..2] != [1, 1] => {
                return Err(format!(
                    "{name}: a map of {shape:?} in another order of axes"
                ));
            }
            // One pixel: the last node does it.
            IntegerOperation::Flatten => {}
            IntegerOperation::Softmax { .. } => {}
        }
        // Reshaping keeps the meaning.
        if let ValueKind::Quantized(quantized) = layer.output
            && !matches!(layer.operation, IntegerOperation::Flatten)
        {
            graph.requantize(name, &quantized);
        }
        (shape, values) = (output_shape, layer.output);
    }
    let output = match metadata.classes {
        Some(_) => "logits",
        None => "features",
    };
    graph.nodes.push("Flatten", output, &[], vec![]);
    let input = value_info(INPUT, &[channels, rows, columns]);
    let graph = Graph {
        node: graph.nodes.list,
        name: GRAPH.to_string(),
        initializer: graph.constants,
        input: vec![input],
        output: vec![value_info(output, &[shape.iter().product()])],
    };
    finished(graph, OPSET, &metadata.to_folded())
}

struct Writer {
    nodes: Nodes,
    constants: Vec<Initializer>,
}

impl Writer {
    /// Appends the rounding of numbers to those that integers of this meaning have.
    fn requantize(&mut self, name: &str, quantized: &Quantized) {
        let parameters = [format!("{name}.scale"), format!("{name}.zero_point")];
        let zero_point = quantized.zero_point as u8;
        self.constants
            .push(initial(&parameters[0], &[], &[quantized.scale]));
        let kind = integer_type(quantized.integer);
        self.constants
            .push(constant(&parameters[1], &[], kind, vec![zero_point]));
        let integers = format!("{name}.integers");
        self.nodes
            .push("QuantizeLinear", &integers, &parameters, vec![]);
        let numbers = format!("{name}.numbers");
        self.nodes
            .push("DequantizeLinear", &numbers, &parameters, vec![]);
    }

    fn conv(
        &mut self,
        name: &str,
        conv: &QuantizedConvolution,
        input: &Quantized,
        [rows, columns, channels]: [usize; 3],
    ) -> Result<(), String> {
        let size = conv
            .geometry
            .resolve(1, rows, columns)
            .map_err(|error| error.to_string())?;
        let inputs = [
            self.weights(name, conv, channels)?,
            self.bias(name, conv, input),
        ];
        let groups = match conv.kind {
            ConvKind::Depthwise => channels,
            ConvKind::Conv => 1,
        };
        let attributes = conv_attributes(&conv.geometry, groups, [size.rows, size.columns]);
        self.nodes.push("Conv", name, &inputs, attributes);
        let name = format!("{name}.activation");
        match conv.activation {
            Activation::Identity => {}
            Activation::Relu => self.nodes.push("Relu", &name, &[], vec![]),
            Activation::Relu6 => {
                let (low, high) = Activation::Relu6.bounds();
                let bounds = [format!("{name}.low"), format!("{name}.high")];
                self.constants.push(initial(&bounds[0], &[], &[low]));
                self.constants.push(initial(&bounds[1], &[], &[high]));
                self.nodes.push("Clip", &name, &bounds, vec![]);
            }
        }
        Ok(())
    }

    /// Adds weights and the node that dequantises them. Returns its name.
    fn weights(
        &mut self,
        name: &str,
        conv: &QuantizedConvolution,
        channels: usize,
    ) -> Result<String, String> {
        let [rows, columns] = conv.geometry.kernel;
        let outputs = conv.out_channels;
        let (layout, ours) = match conv.kind {
            ConvKind::Conv => (Layout::Ohwi, [outputs, channels, rows, columns]),
            ConvKind::Depthwise => (Layout::OneHwc, [outputs, 1, rows, columns]),
        };
        let bytes = match &conv.weights.values {
            Integers::U8(values) => values.clone(),
            Integers::I8(values) => values.iter().map(|&value| value as u8).collect(),
        };
        let bytes = Array::new(layout.source_shape(&ours, 1), bytes)
            .and_then(|array| layout.to_ours(array, &ours))
            .map_err(|error| format!("{name}: {error}"))?;
        let kind = integer_type(conv.weights.values.integer());
        let zero_points = conv
            .weights
            .zero_points
            .iter()
            .map(|&zero_point| zero_point as u8);
        let weight = constant(&format!("{name}.weight"), &ours, kind, bytes.into_values());
        Ok(self.dequantized(weight, &conv.weights.scales, kind, zero_points.collect()))
    }

    fn bias(&mut self, name: &str, conv: &QuantizedConvolution, input: &Quantized) -> String {
        let bytes = bytes_of(&conv.bias);
        let bias = constant(&format!("{name}.bias"), &[conv.out_channels], INT32, bytes);
        let scales = conv.weights.scales.iter().map(|scale| input.scale * scale);
        let scales: Vec<f32> = scales.collect();
        let zero_points = vec![0; 4 * scales.len()];
        self.dequantized(bias, &scales, INT32, zero_points)
    }

    /// Adds a constant with scales along its first axis, or a single one.
    fn dequantized(
        &mut self,
        constant_of: Initializer,
        scales: &[f32],
        kind: i32,
        zero_points: Vec<u8>,
    ) -> String {
        let name = constant_of.name.clone();
        let parameters = [format!("{name}.scale"), format!("{name}.zero_point")];
        let shape: &[usize] = if scales.len() == 1 {
            &[]
        } else {
            &[scales.len()]
        };
        self.constants.push(constant_of);
        self.constants.push(initial(&parameters[0], shape, scales));
        self.constants
            .push(constant(&parameters[1], shape, kind, zero_points));
        let numbers = format!("{name}.numbers");
        let [scale, zero_point] = parameters;
        let inputs = vec![name, scale, zero_point];
        self.nodes
            .push_aside("DequantizeLinear", &numbers, inputs, vec![int("axis", 0)]);
        numbers
    }
}

fn integer_type(integer: IntegerType) -> i32 {
    match integer {
        IntegerType::U8 => UINT8,
        IntegerType::I8 => INT8,
    }
}

/// A constant of little-endian bytes.
fn constant(name: &str, shape: &[usize], kind: i32, bytes: Vec<u8>) -> Initializer {
    Initializer {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: kind,
        name: name.to_string(),
        raw_data: bytes,
    }
}
