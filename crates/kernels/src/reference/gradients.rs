//! The specification of the backward kernels. `g` is the gradient of the output, `sigma` is
//! `sqrt(variance + epsilon)`, and `xhat` is `(x - mean) / sigma`.
//!
//! ```text
//! conv        dX[input] = sum over outputs and taps that read it of g * w;  dW likewise of g * x
//! batch norm  dx = gamma / sigma * (g - mean(g) - xhat * mean(g * xhat))
//! activation  g where low < y < high, else 0
//! ```

use super::{for_each_tap, output_pixels};
use crate::geometry::ConvSize;
use crate::network::Activation;

/// Gradients of a full convolution with respect to input and weights, shapes as in
/// [`fn@crate::conv::conv`].
pub fn conv_gradients(
    input: &[f64],
    weights: &[f64],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let mut input_gradient = vec![0.0; input.len()];
    let mut weight_gradient = vec![0.0; weights.len()];
    for_each_tap(size, |to, from, tap| {
        for i in 0..in_channels {
            for o in 0..out_channels {
                let g = output_gradient[to * out_channels + o];
                let weight = (tap * in_channels + i) * out_channels + o;
                input_gradient[from * in_channels + i] += g * weights[weight];
                weight_gradient[weight] += g * input[from * in_channels + i];
            }
        }
    });
    (input_gradient, weight_gradient)
}

/// Gradients of a depthwise convolution with respect to input and weights, shapes as in
/// [`fn@crate::depthwise::depthwise`].
pub fn depthwise_gradients(
    input: &[f64],
    weights: &[f64],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    output_gradient: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let out_channels = channels * multiplier;
    let mut input_gradient = vec![0.0; input.len()];
    let mut weight_gradient = vec![0.0; weights.len()];
    debug_assert_eq!(output_gradient.len(), output_pixels(size) * out_channels);
    for_each_tap(size, |to, from, tap| {
        for o in 0..out_channels {
            let g = output_gradient[to * out_channels + o];
            let input_place = from * channels + o / multiplier;
            input_gradient[input_place] += g * weights[tap * out_channels + o];
            weight_gradient[tap * out_channels + o] += g * input[input_place];
        }
    });
    (input_gradient, weight_gradient)
}

/// Moments of a batch, one value per channel. The variance is the biased one.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics {
    /// Mean.
    pub mean: Vec<f64>,
    /// Mean of squared deviations.
    pub variance: Vec<f64>,
}

/// Batch normalisation of `[pixels, channels]` by the moments of this batch, followed by the
/// activation.
pub fn batch_norm_of_batch(
    input: &[f64],
    gamma: &[f64],
    beta: &[f64],
    epsilon: f64,
    activation: Activation,
) -> (Vec<f64>, BatchStatistics) {
    let channels = gamma.len();
    let count = (input.len() / channels) as f64;
    let mut mean = vec![0.0; channels];
    let mut variance = vec![0.0; channels];
    for (i, x) in input.iter().enumerate() {
        mean[i % channels] += x / count;
    }
    for (i, x) in input.iter().enumerate() {
        variance[i % channels] += (x - mean[i % channels]).powi(2) / count;
    }
    let (low, high) = activation.bounds();
    let output = input.iter().enumerate().map(|(i, x)| {
        let c = i % channels;
        let normalised = (x - mean[c]) / (variance[c] + epsilon).sqrt();
        (normalised * gamma[c] + beta[c]).clamp(f64::from(low), f64::from(high))
    });
    (output.collect(), BatchStatistics { mean, variance })
}

/// Gradients of [`batch_norm_of_batch`] with respect to input, gamma and beta.
pub fn batch_norm_gradients(
    input: &[f64],
    statistics: &BatchStatistics,
    gamma: &[f64],
    beta: &[f64],
    epsilon: f64,
    activation: Activation,
    output_gradient: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let channels = gamma.len();
    let count = (input.len() / channels) as f64;
    let (low, high) = activation.bounds();
    let (low, high) = (f64::from(low), f64::from(high));
    let sigma = |c: usize| (statistics.variance[c] + epsilon).sqrt();
    let normalised = |i: usize| (input[i] - statistics.mean[i % channels]) / sigma(i % channels);
    let gated = |i: usize| {
        let y = normalised(i) * gamma[i % channels] + beta[i % channels];
        if low < y && y < high {
            output_gradient[i]
        } else {
            0.0
        }
    };
    let (mut gamma_gradient, mut beta_gradient) = (vec![0.0; channels], vec![0.0; channels]);
    for i in 0..input.len() {
        gamma_gradient[i % channels] += gated(i) * normalised(i);
        beta_gradient[i % channels] += gated(i);
    }
    let input_gradient = (0..input.len()).map(|i| {
        let c = i % channels;
        let centred = gated(i) - beta_gradient[c] / count;
        gamma[c] / sigma(c) * (centred - normalised(i) * gamma_gradient[c] / count)
    });
    (input_gradient.collect(), gamma_gradient, beta_gradient)
}
