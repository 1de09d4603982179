//! Networks of integers with random weights, to measure and to test with.

use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType, Integers, Quantized,
    QuantizedConvolution, QuantizedWeights, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Padding};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::architecture::{Layer, body_layers};
use crate::config::MobileNetV1Config;
use crate::endpoint::{LayerKind, head};
use crate::error::ModelError;
use crate::initialize::normal;

/// How random weights are distributed. The largest of a channel has magnitude 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RandomWeights {
    /// Normally: those of a channel are 40 on root mean square, as converters make them of trained
    /// networks (29 to 46 in MobileNetV1 0.25 of Keras).
    Normal,
    /// Uniformly: 73, more than in networks that people have. Products of bytes then need the most
    /// extra steps.
    Uniform,
}

/// A network of the form that converters make: signed integers, a scale for each output channel,
/// ReLU6, and the mean of the last map. The scales of weights keep the activations' magnitude from
/// layer to layer.
///
/// # Errors
/// If the configuration is invalid, or the images are too small for a window.
pub fn random_integers(
    config: &MobileNetV1Config,
    size: [usize; 2],
    weights: RandomWeights,
    seed: u64,
) -> Result<IntegerNetwork, ModelError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let input = quantized(1.0 / 127.5, 0);
    let activations = quantized(6.0 / 255.0, -128);
    let [mut height, mut width] = size;
    let mut layers = Vec::new();
    let mut last = input;
    let mut channels = config.base.in_channels;
    let add = |layers: &mut Vec<IntegerLayer>, name: String, operation, output| {
        layers.push(IntegerLayer {
            name,
            operation,
            output: ValueKind::Quantized(output),
        });
    };
    for layer in body_layers(&config.base)? {
        let resolved = layer.size(1, height, width)?;
        (height, width) = (resolved.rows.output, resolved.columns.output);
        let convolution = convolution(&layer, last, Activation::Relu6, weights, &mut random);
        add(
            &mut layers,
            layer.endpoint.to_string(),
            convolution,
            activations,
        );
        (last, channels) = (activations, layer.out_channels);
    }
    let window = ConvGeometry {
        kernel: [height, width],
        stride: 1,
        dilation: 1,
        padding: Padding::VALID,
    };
    let pool = IntegerOperation::AveragePool(window);
    add(&mut layers, head::AVG_POOL.to_string(), pool, last);
    if let Some(classes) = config.classes() {
        let logits = quantized(0.1, 0);
        let layer = Layer {
            endpoint: crate::endpoint::Endpoint::LAST,
            geometry: ConvGeometry::POINTWISE,
            in_channels: channels,
            out_channels: classes,
        };
        let convolution = convolution(&layer, last, Activation::Identity, weights, &mut random);
        add(&mut layers, head::LOGITS.to_string(), convolution, logits);
    }
    Ok(IntegerNetwork {
        input_shape: [size[0], size[1], config.base.in_channels],
        input: ValueKind::Quantized(input),
        layers,
    })
}

fn quantized(scale: f32, zero_point: i32) -> Quantized {
    Quantized {
        integer: IntegerType::I8,
        scale,
        zero_point,
    }
}

/// Integers of a channel's weights.
fn channel(count: usize, weights: RandomWeights, random: &mut ChaCha8Rng) -> Vec<i8> {
    let numbers: Vec<f64> = match weights {
        RandomWeights::Normal => (0..count).map(|_| normal(random)).collect(),
        RandomWeights::Uniform => (0..count).map(|_| random.random_range(-1.0..1.0)).collect(),
    };
    let largest = numbers
        .iter()
        .fold(0.0f64, |most, number| most.max(number.abs()));
    let integer = |number: &f64| (number / largest * 127.0).round() as i8;
    numbers.iter().map(integer).collect()
}

fn convolution(
    layer: &Layer,
    input: Quantized,
    activation: Activation,
    weights: RandomWeights,
    random: &mut ChaCha8Rng,
) -> IntegerOperation {
    let [out, inputs, rows, columns] = layer.weight_shape();
    let count = inputs * rows * columns;
    let (mut values, mut scales) = (Vec::with_capacity(out * count), Vec::with_capacity(out));
    for _ in 0..out {
        let integers = channel(count, weights, random);
        let squares: f32 = integers
            .iter()
            .map(|&integer| f32::from(integer).powi(2))
            .sum();
        // He's deviation for numbers, and that of the integers.
        let deviation = (2.0 / count as f32).sqrt() / (squares / count as f32).sqrt();
        scales.push(deviation * random.random_range(0.5..1.5));
        values.extend(integers);
    }
    let biases = scales.iter().map(|scale| {
        let bias = random.random_range(-0.5..0.5) / (scale * input.scale);
        bias as i32
    });
    IntegerOperation::Convolution(QuantizedConvolution {
        kind: match layer.endpoint.kind {
            LayerKind::Depthwise => ConvKind::Depthwise,
            LayerKind::Conv | LayerKind::Pointwise => ConvKind::Conv,
        },
        geometry: layer.geometry,
        out_channels: out,
        bias: biases.collect(),
        weights: QuantizedWeights {
            values: Integers::I8(values),
            zero_points: vec![0; scales.len()],
            scales,
        },
        activation,
        fully_connected: false,
    })
}
