//! Equalisation: channels whose weights are small beside those of their layer are scaled up, and
//! the next layer's weights that read them down, so that one scale serves a whole layer better.
//!
//! ReLU6 does not commute with scaling, so only channels that stay below 6 on all photos are scaled,
//! and only so far that they still do.

use mobilenet_kernels::ConvKind;

use super::float_network::FloatNetwork;
use super::layer::Layer;

/// Rounds over all layers.
const ROUNDS: usize = 10;
/// Share of ReLU6's range that scaled channels may fill: other photos may have larger values.
const FILLED: f32 = 0.95;
/// Most that a channel is scaled, up or down.
const MOST: f32 = 64.0;

/// Scales the channels of a network's body. `largest` has the largest value of each channel after
/// each layer. Returns the factors of the channels of each layer.
pub(super) fn equalize(network: &mut FloatNetwork, largest: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let ones = |layer: &Layer| vec![1f32; layer.shape.out_channels];
    let mut factors: Vec<Vec<f32>> = network.body.iter().map(ones).collect();
    for _ in 0..ROUNDS {
        for (index, largest) in largest.iter().enumerate().take(network.body.len()) {
            let (before, after) = network.body.split_at_mut(index + 1);
            let next = after.first_mut().or(network.logits.as_mut());
            if let (Some(layer), Some(next)) = (before.last_mut(), next) {
                balance(layer, next, largest, &mut factors[index]);
            }
        }
    }
    factors
}

fn balance(layer: &mut Layer, next: &mut Layer, largest: &[f32], factors: &mut [f32]) {
    let (_, bound) = layer.shape.activation.bounds();
    let bound = FILLED * bound;
    let (own, read) = (written(layer), reading(next));
    let most = |ranges: &[f32]| ranges.iter().copied().fold(0f32, f32::max);
    let (most_own, most_read) = (most(&own), most(&read));
    let step = |channel: usize| {
        let wanted = ((read[channel] / most_read) / (own[channel] / most_own)).sqrt();
        // A channel that reaches the bound stays as it is.
        if !(wanted.is_normal() && largest[channel] < bound) {
            return 1.0;
        }
        let so_far = factors[channel];
        let room = bound / (largest[channel] * so_far);
        wanted.min(room).clamp(1.0 / MOST / so_far, MOST / so_far)
    };
    let steps: Vec<f32> = (0..layer.shape.out_channels).map(step).collect();
    let length = layer.shape.filter_len().max(1);
    let filters = layer.weights.chunks_mut(length).zip(&mut layer.bias);
    for ((filter, bias), step) in filters.zip(&steps) {
        filter.iter_mut().for_each(|weight| *weight *= step);
        *bias *= step;
    }
    for index in 0..next.weights.len() {
        next.weights[index] /= steps[input_of(next, index)];
    }
    for (factor, step) in factors.iter_mut().zip(steps) {
        *factor *= step;
    }
}

/// Largest weight of each output channel.
fn written(layer: &Layer) -> Vec<f32> {
    let filters = layer.weights.chunks(layer.shape.filter_len().max(1));
    filters
        .map(|filter| filter.iter().fold(0f32, |most, w| most.max(w.abs())))
        .collect()
}

/// Largest weight that reads each input channel.
fn reading(layer: &Layer) -> Vec<f32> {
    let mut most = vec![0f32; layer.shape.in_channels];
    for (index, weight) in layer.weights.iter().enumerate() {
        let channel = input_of(layer, index);
        most[channel] = most[channel].max(weight.abs());
    }
    most
}

/// The input channel that a weight reads.
fn input_of(layer: &Layer, index: usize) -> usize {
    let [out_channels, inputs, rows, columns] = layer.shape.weights();
    let filter = index / (rows * columns);
    match layer.shape.kind {
        ConvKind::Conv => filter % inputs,
        ConvKind::Depthwise => filter / (out_channels / layer.shape.in_channels),
    }
}
