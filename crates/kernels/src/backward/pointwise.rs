//! Gradients of the pointwise convolution, both matrix products:
//!
//! ```text
//! dX [pixels, in]  = g [pixels, out] * W [out, in]
//! dW [out, in]     = g^T [out, pixels] * X [pixels, in]
//! ```

use crate::error::{KernelError, check_length};
use crate::pointwise::{Matrix, product};

/// The gradient of the input, `[pixels, in_channels]`; other shapes as in
/// [`fn@crate::pointwise::pointwise`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn input_gradient(
    weights: &[f32],
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let weight_shape = [out_channels, in_channels];
    let gradient_shape = [pixels, out_channels];
    check_length("weights", weights.len(), &weight_shape)?;
    check_length("output gradient", output_gradient.len(), &gradient_shape)?;
    check_length(
        "input gradient",
        input_gradient.len(),
        &[pixels, in_channels],
    )?;
    product(
        Matrix::new(output_gradient, pixels, out_channels),
        Matrix::new(weights, out_channels, in_channels),
        false,
        input_gradient,
    )
}

/// The gradient of the weights, `[out_channels, in_channels]`; other shapes as in
/// [`fn@crate::pointwise::pointwise`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn weight_gradient(
    input: &[f32],
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let gradient_shape = [pixels, out_channels];
    check_length("input", input.len(), &[pixels, in_channels])?;
    check_length("output gradient", output_gradient.len(), &gradient_shape)?;
    check_length(
        "weight gradient",
        weight_gradient.len(),
        &[out_channels, in_channels],
    )?;
    product(
        Matrix::new(output_gradient, pixels, out_channels).transposed(),
        Matrix::new(input, pixels, in_channels),
        false,
        weight_gradient,
    )
}
