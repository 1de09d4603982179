//! Weights as integers, per channel or per tensor.

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{IntegerType, Integers, Quantized, QuantizedWeights};

use rayon::prelude::*;

use super::layer::{Layer, Shape};
use super::options::{QuantizeOptions, Scheme};
use super::rounding::ErrorModel;
use mobilenet_model::array::{Array, ShapeError};

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
    /// Rounds the weights of a layer between activations of these meanings: by error models, which
    /// each serve as many filters, or else to the nearest integers.
    pub(super) fn of(
        layer: &Layer,
        input: &Quantized,
        output: &Quantized,
        options: &QuantizeOptions,
        models: &[Option<ErrorModel>],
    ) -> Self {
        let filter_len = layer.shape.filter_len().max(1);
        let least = |biases: &[f32]| {
            let bias = biases.iter().fold(0f32, |most, bias| most.max(bias.abs()));
            let of_bias = bias / (input.scale * MOST_BIAS);
            (LEAST_FACTOR * output.scale / input.scale).max(of_bias)
        };
        let mut rounded = Self {
            integers: Vec::new(),
            scales: Vec::new(),
            zero_points: Vec::new(),
            kind: integer_type(options.scheme),
            filter_len,
        };
        let filters = || layer.weights.chunks(filter_len);
        match options.scheme {
            Scheme::PerChannel => {
                let most = (1 << (options.weight_bits - 1)) - 1;
                for (filter, bias) in filters().zip(&layer.bias) {
                    let largest = filter.iter().fold(0f32, |most, w| most.max(w.abs()));
                    rounded
                        .scales
                        .push((largest / most as f32).max(least(&[*bias])));
                    rounded.zero_points.push(0);
                }
                rounded.fill(filters(), [-most, most], models);
            }
            Scheme::PerTensor => {
                // The smallest integer is left out, as in Google's networks.
                let most = (1 << options.weight_bits) - 1;
                let low = layer.weights.iter().copied().fold(0f32, f32::min);
                let high = layer.weights.iter().copied().fold(0f32, f32::max);
                let scale = ((high - low) / (most - 1) as f32).max(least(&layer.bias));
                let zero_point = (1 - (low / scale).round() as i32).clamp(1, most);
                rounded.scales.push(scale);
                rounded.zero_points.push(zero_point);
                rounded.fill(filters(), [1 - zero_point, most - zero_point], models);
            }
        }
        rounded
    }

    /// Rounds all filters to integers whose difference from the zero point is in a range.
    fn fill<'a>(
        &mut self,
        filters: impl ExactSizeIterator<Item = &'a [f32]>,
        range: [i32; 2],
        models: &[Option<ErrorModel>],
    ) {
        let per_model = filters.len() / models.len().max(1);
        let filters: Vec<(usize, &[f32])> = filters.enumerate().collect();
        let rounded = filters.par_iter().map(|&(channel, filter)| {
            let scale = self.scale(channel);
            let steps: Vec<f32> = filter.iter().map(|weight| weight / scale).collect();
            let model = models
                .get(channel / per_model.max(1))
                .and_then(Option::as_ref);
            let integers = match model {
                Some(model) => model.round(&steps, range),
                None => {
                    let [low, high] = range;
                    steps
                        .iter()
                        .map(|step| (step.round() as i32).clamp(low, high))
                        .collect()
                }
            };
            let zero_point = self.zero_point(channel);
            integers
                .into_iter()
                .map(move |integer| integer + zero_point)
                .collect()
        });
        let rounded: Vec<Vec<i32>> = rounded.collect();
        self.integers = rounded.concat();
    }

    /// Scale of an output channel.
    pub(super) fn scale(&self, channel: usize) -> f32 {
        match self.scales.as_slice() {
            [one] => *one,
            many => many.get(channel).copied().unwrap_or(1.0),
        }
    }

    fn zero_point(&self, channel: usize) -> i32 {
        match self.zero_points.as_slice() {
            [one] => *one,
            many => many.get(channel).copied().unwrap_or(0),
        }
    }

    /// The integer at an index minus its zero point.
    pub(super) fn centred(&self, index: usize) -> i32 {
        let zero_point = self.zero_point(index / self.filter_len);
        self.integers
            .get(index)
            .map_or(0, |integer| integer - zero_point)
    }

    /// The weights in the order of networks of integers.
    ///
    /// # Errors
    /// If their number is not that of the shape.
    pub(super) fn into_kernel_order(self, shape: &Shape) -> Result<QuantizedWeights, ShapeError> {
        let axes = match shape.kind {
            ConvKind::Conv => [0, 2, 3, 1],
            ConvKind::Depthwise => [1, 2, 3, 0],
        };
        let array = Array::new(shape.weights(), self.integers)?;
        let integers = array.permute(&axes)?.into_values();
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
