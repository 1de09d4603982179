//! Writes the descriptions that a module reads, for whoever prepares weights.

use mobilenet_kernels::inference::{ConvKind, LayerShape};
use mobilenet_kernels::integer::{
    Arithmetic, IntegerBranch, IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType,
    QuantizedConvolution, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry, Padding};

use crate::filter::Filter;
use crate::module::VERSION;
use crate::rule::{Resize, Rule};

/// A predictor of a detector of f32.
#[derive(Debug, Clone, Copy)]
pub struct FloatBranch {
    /// The layer that it reads.
    pub reads: usize,
    /// Channels for boxes and for scores.
    pub cell: [usize; 2],
    /// Its window.
    pub geometry: ConvGeometry,
}

/// The description of a detector of f32: rows, columns and channels of its input; the layers; the
/// branches.
pub fn float_detector(
    input: [usize; 3],
    layers: &[LayerShape],
    branches: &[FloatBranch],
) -> Vec<u32> {
    let mut words = float_chain(input, None, None, layers);
    words.push(word(branches.len()));
    for branch in branches {
        words.push(word(branch.reads));
        words.extend(branch.cell.map(word));
        window(&mut words, &branch.geometry);
    }
    words
}

/// The description of a network of f32: rows, columns and channels of its input; pooled rows and
/// columns, or all; classes, or none; the layers.
pub fn float_network(
    input: [usize; 3],
    pooling: Option<[usize; 2]>,
    classes: Option<usize>,
    layers: &[LayerShape],
) -> Vec<u32> {
    let mut words = float_chain(input, pooling, classes, layers);
    // No branches.
    words.push(0);
    words
}

fn float_chain(
    input: [usize; 3],
    pooling: Option<[usize; 2]>,
    classes: Option<usize>,
    layers: &[LayerShape],
) -> Vec<u32> {
    let mut words = vec![VERSION, 0];
    words.extend(input.map(word));
    words.extend(pooling.unwrap_or_default().map(word));
    words.extend([word(classes.unwrap_or(0)), word(layers.len())]);
    for layer in layers {
        words.extend([kind(layer.kind), word(layer.out_channels)]);
        window(&mut words, &layer.geometry);
        words.push(activation(layer.activation));
    }
    words
}

/// The description of a network of integers, and which of its layers give features and logits.
pub fn integer_network(
    network: &IntegerNetwork,
    arithmetic: Arithmetic,
    outputs: [usize; 2],
) -> Vec<u32> {
    let mut words = chain(network, arithmetic, outputs);
    // No branches.
    words.push(0);
    words
}

/// The description of a detector of integers: its branches, and which of them predict boxes and
/// which predict scores.
pub fn integer_detector(
    network: &IntegerNetwork,
    arithmetic: Arithmetic,
    branches: &[IntegerBranch],
    joined: [&[usize]; 2],
) -> Vec<u32> {
    let mut words = chain(network, arithmetic, [0, 0]);
    words.push(word(branches.len()));
    for IntegerBranch { reads, layer: own } in branches {
        words.push(word(*reads));
        layer(&mut words, own);
    }
    for branches in joined {
        words.push(word(branches.len()));
        words.extend(branches.iter().copied().map(word));
    }
    words
}

fn chain(
    network: &IntegerNetwork,
    arithmetic: Arithmetic,
    [features, logits]: [usize; 2],
) -> Vec<u32> {
    let mut words = vec![VERSION, 1];
    words.extend(network.input_shape.map(word));
    meaning(&mut words, network.input);
    words.push(match arithmetic {
        Arithmetic::Xnnpack => 0,
        Arithmetic::Reference => 1,
        Arithmetic::Optimized => 2,
    });
    words.extend([features, logits, network.layers.len()].map(word));
    for own in &network.layers {
        layer(&mut words, own);
    }
    words
}

fn layer(words: &mut Vec<u32>, layer: &IntegerLayer) {
    match &layer.operation {
        IntegerOperation::Quantize => words.push(0),
        IntegerOperation::Dequantize => words.push(1),
        IntegerOperation::Convolution(layer) => convolution(words, layer),
        IntegerOperation::AveragePool(geometry) => {
            words.push(3);
            window(words, geometry);
        }
        IntegerOperation::Mean => words.push(4),
        IntegerOperation::Flatten => words.push(5),
        IntegerOperation::Softmax { beta } => words.extend([6, beta.to_bits()]),
    }
    meaning(words, layer.output);
}

/// The description of a rule for photos.
pub fn rule(rule: &Rule) -> Vec<u32> {
    let mut words = match rule.resize {
        Resize::CentralCrop(fraction) => {
            let bits = fraction.to_bits();
            vec![0, bits as u32, (bits >> 32) as u32]
        }
        Resize::Squeeze(used) => vec![1, filter(used)],
        Resize::LongestEdge(used) => vec![3, filter(used)],
        Resize::ShortestEdge {
            edge,
            filter: used,
            to_even,
        } => vec![2, word(edge), filter(used), to_even.into()],
    };
    words.extend(
        rule.mean
            .iter()
            .chain(&rule.std)
            .map(|value| value.to_bits()),
    );
    words
}

/// No size of a network that there can be is larger; the module refuses what is.
fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn kind(kind: ConvKind) -> u32 {
    match kind {
        ConvKind::Conv => 0,
        ConvKind::Depthwise => 1,
    }
}

fn filter(filter: Filter) -> u32 {
    match filter {
        Filter::Bilinear => 0,
        Filter::Bicubic => 1,
    }
}

fn activation(activation: Activation) -> u32 {
    match activation {
        Activation::Identity => 0,
        Activation::Relu => 1,
        Activation::Relu6 => 2,
    }
}

fn integer(integer: IntegerType) -> u32 {
    match integer {
        IntegerType::U8 => 1,
        IntegerType::I8 => 2,
    }
}

fn window(words: &mut Vec<u32>, geometry: &ConvGeometry) {
    words.extend(geometry.kernel.map(word));
    words.extend([geometry.stride, geometry.dilation].map(word));
    match geometry.padding {
        Padding::Same => words.push(0),
        Padding::Explicit {
            top,
            bottom,
            left,
            right,
        } => {
            words.push(1);
            words.extend([top, bottom, left, right].map(word));
        }
    }
}

fn meaning(words: &mut Vec<u32>, values: ValueKind) {
    match values {
        ValueKind::F32 => words.extend([0; 3]),
        ValueKind::Quantized(quantized) => words.extend([
            integer(quantized.integer),
            quantized.scale.to_bits(),
            quantized.zero_point as u32,
        ]),
    }
}

fn convolution(words: &mut Vec<u32>, layer: &QuantizedConvolution) {
    words.extend([2, kind(layer.kind), word(layer.out_channels)]);
    window(words, &layer.geometry);
    words.extend([
        activation(layer.activation),
        layer.fully_connected.into(),
        integer(layer.weights.values.integer()),
        word(layer.weights.scales.len()),
    ]);
}
