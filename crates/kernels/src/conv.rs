//! Full convolution on NHWC, as the matrix product of all windows with the weights. It is used for
//! the stem of a network. `s` is the stride, `d` the dilation, `top` and `left` the padding.
//!
//! ```text
//! output[b, y, x, o] = sum over ky, kx, i of
//!     input[b, y*s + ky*d - top, x*s + kx*d - left, i] * weights[ky, kx, i, o]
//! ```

use crate::error::{KernelError, volume};
use crate::geometry::ConvSize;
use crate::layer::rows::Patches;
use crate::layer::slices::matrix::{Input, multiply};
use crate::layer::slices::weights::Weights;
use crate::layer::slices::{Epilogue, fresh};

/// Convolves `input` `[batch, height, width, in_channels]` with `weights`
/// `[kernel rows, kernel columns, in_channels, out_channels]` into `output`
/// `[batch, output rows, output columns, out_channels]`.
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn conv(
    input: &[f32],
    weights: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let taps = [size.rows.kernel, size.columns.kernel, in_channels];
    let shape = Weights::depth_first(out_channels, volume("window", &taps)?);
    let input = Input::Patches(Patches {
        images: input,
        channels: in_channels,
        size,
    });
    multiply(input, &shape, weights, &Epilogue::default(), output.into())
}

/// The same into a new vector, with `epilogue` applied to the result. `weights` is `[out_channels,
/// in_channels, kernel rows, kernel columns]`, the layout of candle and PyTorch.
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn conv_with(
    input: &[f32],
    weights: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    epilogue: &Epilogue<'_>,
) -> Result<Vec<f32>, KernelError> {
    let taps = size.rows.kernel * size.columns.kernel;
    volume("window", &[taps, in_channels])?;
    let shape = Weights::taps_last(out_channels, in_channels, taps);
    let input = Input::Patches(Patches {
        images: input,
        channels: in_channels,
        size,
    });
    fresh(size.output_len(out_channels)?, |output| {
        multiply(input, &shape, weights, epilogue, output)
    })
}
