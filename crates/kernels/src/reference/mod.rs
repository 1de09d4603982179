//! The specification of every kernel: its defining sums, computed directly and in f64. It is slow
//! on purpose; the tests compare every kernel with it.

mod gradients;

#[cfg(feature = "training")]
use crate::batch_norm::BatchNormParameters;
use crate::geometry::ConvSize;
#[cfg(feature = "training")]
use crate::network::Activation;

pub use gradients::{
    BatchStatistics, batch_norm_gradients, batch_norm_of_batch, conv_gradients, depthwise_gradients,
};

/// Calls `visit(output pixel, input pixel, tap)` for each tap of each window that falls inside the
/// input. Pixels are numbered through all images.
fn for_each_tap(size: &ConvSize, mut visit: impl FnMut(usize, usize, usize)) {
    let (rows, columns) = (&size.rows, &size.columns);
    for image in 0..size.batch {
        for y in 0..rows.output {
            for x in 0..columns.output {
                let output = (image * rows.output + y) * columns.output + x;
                for ky in 0..rows.kernel {
                    for kx in 0..columns.kernel {
                        if let (Some(iy), Some(ix)) = (rows.source(y, ky), columns.source(x, kx)) {
                            let input = (image * rows.input + iy) * columns.input + ix;
                            visit(output, input, ky * columns.kernel + kx);
                        }
                    }
                }
            }
        }
    }
}

fn output_pixels(size: &ConvSize) -> usize {
    size.output_rows() * size.columns.output
}

/// Full convolution, shapes as in [`fn@crate::conv::conv`].
pub fn conv<T: Copy + Into<f64>>(
    input: &[T],
    weights: &[T],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
) -> Vec<f64> {
    let mut output = vec![0.0; output_pixels(size) * out_channels];
    for_each_tap(size, |to, from, tap| {
        for i in 0..in_channels {
            for o in 0..out_channels {
                output[to * out_channels + o] += input[from * in_channels + i].into()
                    * weights[(tap * in_channels + i) * out_channels + o].into();
            }
        }
    });
    output
}

/// Depthwise convolution, shapes as in [`fn@crate::depthwise::depthwise`].
pub fn depthwise<T: Copy + Into<f64>>(
    input: &[T],
    weights: &[T],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
) -> Vec<f64> {
    let out_channels = channels * multiplier;
    let mut output = vec![0.0; output_pixels(size) * out_channels];
    for_each_tap(size, |to, from, tap| {
        for o in 0..out_channels {
            output[to * out_channels + o] += input[from * channels + o / multiplier].into()
                * weights[tap * out_channels + o].into();
        }
    });
    output
}

/// Pointwise convolution, shapes as in [`fn@crate::pointwise::pointwise`].
pub fn pointwise<T: Copy + Into<f64>>(
    input: &[T],
    weights: &[T],
    bias: Option<&[T]>,
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
) -> Vec<f64> {
    let mut output = vec![0.0; pixels * out_channels];
    for p in 0..pixels {
        for o in 0..out_channels {
            let product: f64 = (0..in_channels)
                .map(|i| input[p * in_channels + i].into() * weights[o * in_channels + i].into())
                .sum();
            output[p * out_channels + o] = product + bias.map_or(0.0, |bias| bias[o].into());
        }
    }
    output
}

/// Batch normalisation and activation of `[pixels, channels]`.
#[cfg(feature = "training")]
pub fn batch_norm(
    input: &[f32],
    parameters: &BatchNormParameters<'_>,
    activation: Activation,
) -> Vec<f64> {
    let channels = parameters.mean.len();
    let (low, high) = activation.bounds();
    input
        .iter()
        .enumerate()
        .map(|(i, &x)| {
            let c = i % channels;
            let gamma = parameters.gamma.map_or(1.0, |gamma| f64::from(gamma[c]));
            let beta = parameters.beta.map_or(0.0, |beta| f64::from(beta[c]));
            let deviation = (f64::from(parameters.variance[c]) + parameters.epsilon).sqrt();
            let normalised = (f64::from(x) - f64::from(parameters.mean[c])) / deviation;
            (normalised * gamma + beta).clamp(f64::from(low), f64::from(high))
        })
        .collect()
}

/// Average pooling, shapes as in [`crate::pool::average_pool`].
pub fn average_pool(input: &[f32], size: &ConvSize, channels: usize) -> Vec<f64> {
    let mut output = vec![0.0; output_pixels(size) * channels];
    let mut counts = vec![0usize; output_pixels(size)];
    for_each_tap(size, |to, from, _| {
        counts[to] += 1;
        for c in 0..channels {
            output[to * channels + c] += f64::from(input[from * channels + c]);
        }
    });
    for (pixel, count) in output.chunks_exact_mut(channels).zip(counts) {
        for value in pixel {
            *value /= count.max(1) as f64;
        }
    }
    output
}
