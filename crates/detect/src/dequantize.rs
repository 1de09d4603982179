//! A quantised detector as the numbers that its integers mean.

use mobilenet_kernels::inference::LayerShape;
use mobilenet_kernels::integer::{IntegerLayer, IntegerOperation, QuantizedConvolution, ValueKind};
use mobilenet_kernels::{Activation, ConvKind};

use crate::error::DetectError;
use crate::floats::{FloatLayer, FloatNetwork};
use crate::tflite::QuantizedDetector;

/// Converters fold ReLU6 into the range of the output, and leave its name.
const RELU6: &str = "Relu6";

fn wrong(layer: &str, problem: &str) -> DetectError {
    DetectError::NoDetector {
        file: layer.to_string(),
        problem: problem.to_string(),
    }
}

impl QuantizedDetector {
    /// The network in numbers.
    ///
    /// # Errors
    /// If a layer is no convolution, or boxes and scores are not predicted in pairs.
    pub fn dequantized(&self) -> Result<FloatNetwork, DetectError> {
        let [rows, columns, mut channels] = self.chain.input_shape;
        let mut input = self.chain.input;
        let mut layers = Vec::new();
        // Values and channels of each layer's output.
        let mut outputs = Vec::new();
        for layer in &self.chain.layers {
            if matches!(layer.operation, IntegerOperation::Quantize) && layers.is_empty() {
                input = layer.output;
                continue;
            }
            let float = dequantized(layer, input, channels)?;
            (input, channels) = (layer.output, float.shape.out_channels);
            outputs.push((input, channels));
            layers.push(float);
        }
        // Layers before the first convolution are not among the float ones.
        let skipped = self.chain.layers.len() - layers.len();
        let branches = self.branches.iter().map(|branch| {
            let name = &branch.layer.name;
            let reads = branch.reads.checked_sub(skipped);
            let reads = reads.ok_or_else(|| wrong(name, "it reads the image"))?;
            let found = outputs.get(reads).copied();
            let (input, channels) = found.ok_or_else(|| wrong(name, "it reads no layer"))?;
            Ok((reads, dequantized(&branch.layer, input, channels)?))
        });
        let branches: Vec<_> = branches.collect::<Result<_, DetectError>>()?;
        let joints = [self.boxes.branches.as_slice(), &self.scores.branches];
        FloatNetwork::new([rows, columns], layers, &branches, joints)
    }
}

fn dequantized(
    layer: &IntegerLayer,
    input: ValueKind,
    channels: usize,
) -> Result<FloatLayer, DetectError> {
    let (IntegerOperation::Convolution(convolution), ValueKind::Quantized(input)) =
        (&layer.operation, input)
    else {
        return Err(wrong(&layer.name, "it is no convolution of integers"));
    };
    let QuantizedConvolution {
        kind,
        geometry,
        out_channels,
        weights,
        bias,
        activation,
        ..
    } = convolution;
    let taps: usize = geometry.kernel.iter().product();
    let inputs = match kind {
        ConvKind::Conv => channels,
        ConvKind::Depthwise => 1,
    };
    let count = taps
        .checked_mul(inputs)
        .and_then(|n| n.checked_mul(*out_channels));
    if count != Some(weights.values.len()) || bias.len() != *out_channels {
        return Err(wrong(&layer.name, "its weights have another shape"));
    }
    let number = |channel: usize, index: usize| {
        let steps = weights.values.get(index).unwrap_or(0) - weights.zero_point(channel);
        steps as f32 * weights.scale(channel)
    };
    let mut numbers = Vec::with_capacity(weights.values.len());
    for channel in 0..*out_channels {
        for input in 0..inputs {
            // The file's order is `[out, taps, in]`, or `[taps, out]` of depthwise layers.
            numbers.extend((0..taps).map(|tap| match kind {
                ConvKind::Conv => number(channel, (channel * taps + tap) * inputs + input),
                ConvKind::Depthwise => number(channel, tap * out_channels + channel),
            }));
        }
    }
    let bias = bias.iter().enumerate();
    let bias = bias.map(|(channel, &steps)| {
        (f64::from(steps) * f64::from(input.scale) * f64::from(weights.scale(channel))) as f32
    });
    Ok(FloatLayer {
        name: layer.name.clone(),
        shape: LayerShape {
            kind: *kind,
            geometry: *geometry,
            in_channels: channels,
            out_channels: *out_channels,
            activation: match layer.name.ends_with(RELU6) {
                true => Activation::Relu6,
                false => *activation,
            },
        },
        weights: numbers,
        bias: bias.collect(),
    })
}
