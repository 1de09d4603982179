//! Gradients of the pointwise convolution, both as matrix products. `g` is the gradient of the
//! output.
//!
//! ```text
//! dX [pixels, in]  = g [pixels, out] * W [out, in]
//! dW [out, in]     = g^T [out, pixels] * X [pixels, in]
//! ```

use crate::error::{KernelError, check_length};
use crate::layer::slices::Epilogue;
use crate::layer::slices::matrix::{self, Input, multiply};
use crate::layer::slices::weights::Weights;

/// The gradient of the input, `[pixels, in_channels]`; other shapes as in
/// [`fn@crate::pointwise::pointwise`].
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn input_gradient(
    weights: &[f32],
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let gradient_shape = [pixels, out_channels];
    check_length("output gradient", output_gradient.len(), &gradient_shape)?;
    let shape = Weights::depth_first(in_channels, out_channels);
    let gradient = Input::Pixels(output_gradient, out_channels);
    multiply(
        gradient,
        &shape,
        weights,
        &Epilogue::default(),
        input_gradient.into(),
    )
}

/// The gradient of the weights, `[out_channels, in_channels]`; other shapes as in
/// [`fn@crate::pointwise::pointwise`].
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn weight_gradient(
    input: &[f32],
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    check_length("input", input.len(), &[pixels, in_channels])?;
    let shape = Weights::columns_first(out_channels, in_channels);
    let input = Input::Pixels(input, in_channels);
    matrix::weight_gradient(input, output_gradient, &shape, weight_gradient)
}
