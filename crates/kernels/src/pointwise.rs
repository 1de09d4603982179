//! Pointwise (1x1) convolution: the matrix product of all pixels with the weights.
//!
//! ```text
//! output[p, o] = bias[o] + sum over i of input[p, i] * weights[o, i]
//! ```

use crate::error::{KernelError, check_length, volume};
use crate::layer::slices::matrix::{Input, multiply};
use crate::layer::slices::weights::Weights;
use crate::layer::slices::{Epilogue, fresh};

/// Multiplies `input` `[pixels, in_channels]` with `weights` `[out_channels, in_channels]` (the
/// layout of candle's and PyTorch's 1x1 kernels) into `output` `[pixels, out_channels]`.
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn pointwise(
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    check_length("input", input.len(), &[pixels, in_channels])?;
    let shape = Weights::columns_first(out_channels, in_channels);
    let epilogue = Epilogue {
        shift: bias,
        ..Epilogue::default()
    };
    let input = Input::Pixels(input, in_channels);
    multiply(input, &shape, weights, &epilogue, output.into())
}

/// The same into a new vector, with `epilogue` applied to the result.
///
/// # Errors
/// If the length of a slice does not match its shape.
pub fn pointwise_with(
    input: &[f32],
    weights: &[f32],
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
    epilogue: &Epilogue<'_>,
) -> Result<Vec<f32>, KernelError> {
    check_length("input", input.len(), &[pixels, in_channels])?;
    let shape = Weights::columns_first(out_channels, in_channels);
    let input = Input::Pixels(input, in_channels);
    fresh(volume("output", &[pixels, out_channels])?, |output| {
        multiply(input, &shape, weights, epilogue, output)
    })
}
