//! Depthwise convolution on NHWC. Every channel has its own filter, so one tap is a multiply-add of
//! neighbouring channels with neighbouring weights.
//!
//! ```text
//! output[b, y, x, c*m + j] = sum over ky, kx of
//!     input[b, y*s + ky*d - top, x*s + kx*d - left, c] * weights[ky, kx, c*m + j],   j < m
//! ```
//!
//! `m` is the channel multiplier (Keras' `depth_multiplier`), 1 in the usual network. `s` is the
//! stride, `d` the dilation, `top` and `left` the padding.

use crate::error::KernelError;
use crate::geometry::ConvSize;
use crate::layer::slices::depthwise::Depthwise;
use crate::layer::slices::{Epilogue, fresh};

/// Convolves `input` `[batch, height, width, channels]` with `weights`
/// `[kernel rows, kernel columns, channels * multiplier]` into `output`
/// `[batch, output rows, output columns, channels * multiplier]`.
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn depthwise(
    input: &[f32],
    weights: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let layer = Depthwise::taps_first(size, channels, multiplier);
    layer.forward(input, weights, &Epilogue::default(), output.into())
}

/// The same into a new vector, with `epilogue` applied to the result. `weights` is `[channels *
/// multiplier, kernel rows, kernel columns]`, the layout of candle and PyTorch.
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn depthwise_with(
    input: &[f32],
    weights: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    epilogue: &Epilogue<'_>,
) -> Result<Vec<f32>, KernelError> {
    let layer = Depthwise::filters_first(size, channels, multiplier);
    fresh(size.output_len(layer.filters()?)?, |output| {
        layer.forward(input, weights, epilogue, output)
    })
}
