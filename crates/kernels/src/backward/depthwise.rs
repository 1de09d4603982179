//! Gradients of the depthwise convolution. `g` is the gradient of the output, `m` the channel
//! multiplier.
//!
//! ```text
//! dX[input, c]       = sum over outputs and taps that read the input, and j < m, of
//!                      g[output, c*m + j] * weights[tap, c*m + j]
//! dW[tap, c*m + j]   = sum over outputs of  g[output, c*m + j] * input[under the tap, c]
//! ```

use crate::error::KernelError;
use crate::geometry::ConvSize;
use crate::layer::slices::depthwise::Depthwise;

/// The gradient of the input, `[batch, height, width, channels]`; other shapes as in
/// [`fn@crate::depthwise::depthwise`].
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn input_gradient(
    weights: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let layer = Depthwise::taps_first(size, channels, multiplier);
    layer.input_gradient(weights, output_gradient, input_gradient.into())
}

/// The gradient of the weights, `[kernel rows, kernel columns, channels * multiplier]`; other
/// shapes as in [`fn@crate::depthwise::depthwise`].
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn weight_gradient(
    input: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let layer = Depthwise::taps_first(size, channels, multiplier);
    layer.weight_gradient(input, output_gradient, weight_gradient)
}
