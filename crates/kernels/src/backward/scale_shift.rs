//! Gradients of [`crate::batch_norm::scale_shift`], which is batch normalisation by running
//! statistics, or a bias.

use crate::error::KernelError;
use crate::layer::slices::normalization::{Affine, Map};
use crate::network::Activation;

/// Gradients of scale and shift, one value per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGradients {
    /// Of the scale.
    pub scale: Vec<f32>,
    /// Of the shift.
    pub shift: Vec<f32>,
}

/// The gradients of scale and shift; shapes as in [`crate::batch_norm::scale_shift`].
///
/// # Errors
/// If the lengths do not match.
pub fn parameter_gradients(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    output_gradient: &[f32],
) -> Result<ParameterGradients, KernelError> {
    let centre = vec![0.0; scale.len()];
    let map = Map::new(input, scale.len())?;
    let affine = affine(scale, shift, activation);
    let [sums, products] = map.gate(affine, &centre, output_gradient, None)?;
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    Ok(ParameterGradients {
        scale: single(products),
        shift: single(sums),
    })
}

/// The gradient of the input; shapes as in [`crate::batch_norm::scale_shift`].
///
/// # Errors
/// If the lengths do not match.
pub fn input_gradient(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let zeros = vec![0.0; scale.len()];
    let map = Map::new(input, scale.len())?;
    let affine = affine(scale, shift, activation);
    map.gate(affine, &zeros, output_gradient, Some(input_gradient.into()))?;
    map.differential(scale, &zeros, &zeros, input_gradient.into())
}

fn affine<'a>(scale: &'a [f32], shift: &'a [f32], activation: Activation) -> Affine<'a> {
    Affine {
        scale,
        shift,
        bounds: activation.bounds(),
    }
}
