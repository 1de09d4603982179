//! Gradients of the full convolution. `g` is the gradient of the output.
//!
//! ```text
//! dX[input, i]   = sum over outputs and taps that read the input, and o, of
//!                  g[output, o] * weights[tap, i, o]
//! dW[tap, i, o]  = sum over outputs of  g[output, o] * input[under the tap, i]
//! ```

use crate::error::{KernelError, volume};
use crate::geometry::ConvSize;
use crate::layer::rows::Patches;
use crate::layer::slices::matrix::{self, Input};
use crate::layer::slices::weights::Weights;

/// The gradient of the input, `[batch, height, width, in_channels]`; other shapes as in
/// [`fn@crate::conv::conv`].
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn input_gradient(
    weights: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    matrix::input_gradient(
        size,
        in_channels,
        out_channels,
        weights,
        output_gradient,
        input_gradient,
    )
}

/// The gradient of the weights, `[kernel rows, kernel columns, in_channels, out_channels]`; other
/// shapes as in [`fn@crate::conv::conv`].
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn weight_gradient(
    input: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let taps = [size.rows.kernel, size.columns.kernel, in_channels];
    let shape = Weights::depth_first(out_channels, volume("window", &taps)?);
    let input = Input::Patches(Patches {
        images: input,
        channels: in_channels,
        size,
    });
    matrix::weight_gradient(input, output_gradient, &shape, weight_gradient)
}
