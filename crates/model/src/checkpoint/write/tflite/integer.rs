//! The graph of a network of integers, with an operator for each of its layers.

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{
    IntegerNetwork, IntegerOperation, IntegerType, Integers, Quantized, QuantizedConvolution,
    ValueKind,
};

use super::chain::{Chain, Constant, Convolution, Numbers};
use super::schema::{Form, Model, TensorType};
use crate::checkpoint::metadata::{KEY, Metadata};
use crate::checkpoint::readers::Quantization;
use crate::little_endian::bytes_of;

/// Name of the input.
const INPUT: &str = "pixels";

/// The graph of a network of integers.
///
/// # Errors
/// If the network breaks its rules, or does what TFLite cannot express.
pub(super) fn model(network: &IntegerNetwork, metadata: &Metadata) -> Result<Model, String> {
    let [rows, columns, channels] = network.input_shape;
    network
        .shapes([rows, columns])
        .map_err(|error| error.to_string())?;
    let mut chain = Chain::new(INPUT, [rows, columns, channels], numbers(network.input));
    let mut input = network.input;
    for layer in &network.layers {
        let (name, output) = (&layer.name, numbers(layer.output));
        match &layer.operation {
            IntegerOperation::Quantize => chain.quantize(name, output),
            IntegerOperation::Dequantize => chain.dequantize(name),
            IntegerOperation::Convolution(conv) => {
                let ValueKind::Quantized(input) = input else {
                    return Err(format!("{name}: its input is no integers"));
                };
                chain.conv(convolution(name, conv, &input, output, chain.channels()))?;
            }
            IntegerOperation::AveragePool(window) => chain.average_pool(name, window)?,
            IntegerOperation::Mean => chain.mean(name, output),
            IntegerOperation::Flatten => chain.flatten(name),
            IntegerOperation::Softmax { beta } => chain.softmax(name, *beta, output),
        }
        input = layer.output;
    }
    let json = serde_json::to_string(&metadata.to_folded()).map_err(|error| error.to_string())?;
    Ok(chain.finish(KEY, json))
}

fn numbers(values: ValueKind) -> Numbers {
    let ValueKind::Quantized(quantized) = values else {
        return Numbers::FLOAT;
    };
    let Quantized {
        integer,
        scale,
        zero_point,
    } = quantized;
    Numbers {
        kind: tensor_type(integer),
        quantization: Some(Quantization {
            scales: vec![scale],
            zero_points: vec![zero_point.into()],
            axis: 0,
        }),
    }
}

fn tensor_type(integer: IntegerType) -> TensorType {
    match integer {
        IntegerType::U8 => TensorType::Uint8,
        IntegerType::I8 => TensorType::Int8,
    }
}

fn convolution(
    name: &str,
    conv: &QuantizedConvolution,
    input: &Quantized,
    numbers: Numbers,
    in_channels: usize,
) -> Convolution {
    let [rows, columns] = conv.geometry.kernel;
    let outputs = conv.out_channels;
    let (form, shape, axis) = match conv.kind {
        ConvKind::Conv if conv.fully_connected => {
            (Form::FullyConnected, vec![outputs, in_channels], 0)
        }
        ConvKind::Conv => (Form::Full, vec![outputs, rows, columns, in_channels], 0),
        ConvKind::Depthwise => {
            let multiplier = outputs / in_channels.max(1);
            let shape = vec![1, rows, columns, outputs];
            (Form::Depthwise { multiplier }, shape, 3)
        }
    };
    let weights = &conv.weights;
    let per_channel = weights.scales.len() > 1;
    Convolution {
        name: name.to_string(),
        geometry: conv.geometry,
        activation: conv.activation.into(),
        form,
        out_channels: outputs,
        weights: Constant {
            shape,
            numbers: Numbers {
                kind: tensor_type(weights.values.integer()),
                quantization: Some(Quantization {
                    scales: weights.scales.clone(),
                    zero_points: weights.zero_points.iter().map(|&z| z.into()).collect(),
                    // XNNPACK wants 0 where there is one scale.
                    axis: if per_channel { axis } else { 0 },
                }),
            },
            data: match &weights.values {
                Integers::U8(values) => values.clone(),
                Integers::I8(values) => values.iter().map(|&value| value as u8).collect(),
            },
        },
        bias: Constant {
            shape: vec![outputs],
            numbers: Numbers {
                kind: TensorType::Int32,
                quantization: Some(Quantization {
                    scales: weights
                        .scales
                        .iter()
                        .map(|scale| input.scale * scale)
                        .collect(),
                    zero_points: vec![0; weights.scales.len()],
                    axis: 0,
                }),
            },
            data: bytes_of(&conv.bias),
        },
        numbers,
    }
}
