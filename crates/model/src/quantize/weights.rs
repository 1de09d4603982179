//! Weights as integers, per channel or per tensor.

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{IntegerType, Integers, Quantized, QuantizedWeights};

use super::layer::{Layer, Shape};
use super::options::{QuantizeOptions, Scheme};
use crate::array::{Array, ShapeError};
use crate::checkpoint::layout::Layout;

/// The factor from sums to outputs is at least this. Smaller ones occur only in channels whose
/// weights are almost 0, and XNNPACK does not take layers with factors below 2^-32.
const LEAST_FACTOR: f32 = 1.0 / (1 << 24) as f32;
/// Largest bias as an integer, with room for its correction.
const MOST_BIAS: f32 = (1 << 29) as f32;

/// Weights `[out, in, rows, columns]` as integers.
#[derive(Debug, Clone)]
pub(super) struct IntegerWeights {
    integers: Vec<i32>,
    /// One, or one for each output channel.
    scales: Vec<f32>,
    zero_points: Vec<i32>,
    kind: IntegerType,
    filter_len: usize,
}

/// Integers of activations for a scheme. Unsigned weights need unsigned activations.
pub(super) fn integer_type(scheme: Scheme) -> IntegerType {
    match scheme {
        Scheme::PerChannel => IntegerType::I8,
        Scheme::PerTensor => IntegerType::U8,
    }
}

impl IntegerWeights {
    /// Rounds the weights of a layer between activations of these meanings.
    pub(super) fn of(
        layer: &Layer,
        input: &Quantized,
        output: &Quantized,
        options: &QuantizeOptions,
    ) -> Self {
        let filter_len = layer.shape.filter_len().max(1);
        let least = |biases: &[f32]| {
            let bias = biases.iter().fold(0f32, |most, bias| most.max(bias.abs()));
            let of_bias = bias / (input.scale * MOST_BIAS);
            (LEAST_FACTOR * output.scale / input.scale).max(of_bias)
        };
        let mut rounded = Self {
            integers: Vec::with_capacity(layer.weights.len()),
            scales: Vec::new(),
            zero_points: Vec::new(),
            kind: integer_type(options.scheme),
            filter_len,
        };
        match options.scheme {
            Scheme::PerChannel => {
                let most = (1 << (options.weight_bits - 1)) - 1;
                for (filter, bias) in layer.weights.chunks(filter_len).zip(&layer.bias) {
                    let largest = filter.iter().fold(0f32, |most, w| most.max(w.abs()));
                    let scale = (largest / most as f32).max(least(&[*bias]));
                    rounded.push(filter, scale, 0, [-most, most]);
                }
            }
            Scheme::PerTensor => {
                // The smallest integer is left out, as in Google's networks.
                let most = (1 << options.weight_bits) - 1;
                let low = layer.weights.iter().copied().fold(0f32, f32::min);
                let high = layer.weights.iter().copied().fold(0f32, f32::max);
                let scale = ((high - low) / (most - 1) as f32).max(least(&layer.bias));
                let zero_point = (1 - (low / scale).round() as i32).clamp(1, most);
                rounded.push(&layer.weights, scale, zero_point, [1, most]);
            }
        }
        rounded
    }

    fn push(&mut self, weights: &[f32], scale: f32, zero_point: i32, [low, high]: [i32; 2]) {
        let rounded = weights.iter().map(|weight| {
            let integer = (weight / scale).round() as i32;
            integer.saturating_add(zero_point).clamp(low, high)
        });
        self.integers.extend(rounded);
        self.scales.push(scale);
        self.zero_points.push(zero_point);
    }

    /// Scale of an output channel.
    pub(super) fn scale(&self, channel: usize) -> f32 {
        match self.scales.as_slice() {
            [one] => *one,
            many => many.get(channel).copied().unwrap_or(1.0),
        }
    }

    /// The integer at an index minus its zero point.
    pub(super) fn centred(&self, index: usize) -> i32 {
        let zero_point = match self.zero_points.as_slice() {
            [one] => *one,
            many => many.get(index / self.filter_len).copied().unwrap_or(0),
        };
        self.integers
            .get(index)
            .map_or(0, |integer| integer - zero_point)
    }

    /// The weights in the order of networks of integers.
    ///
    /// # Errors
    /// If their number is not that of the shape.
    pub(super) fn into_kernel_order(self, shape: &Shape) -> Result<QuantizedWeights, ShapeError> {
        let layout = match shape.kind {
            ConvKind::Conv => Layout::Ohwi,
            ConvKind::Depthwise => Layout::OneHwc,
        };
        let array = Array::new(shape.weights(), self.integers)?;
        let integers = layout.to_source(array, 1)?.into_values();
        Ok(QuantizedWeights {
            // In range: they were clamped.
            values: match self.kind {
                IntegerType::U8 => Integers::U8(integers.iter().map(|&q| q as u8).collect()),
                IntegerType::I8 => Integers::I8(integers.iter().map(|&q| q as i8).collect()),
            },
            scales: self.scales,
            zero_points: self.zero_points,
        })
    }
}
