//! The gradient of an activation. It is 0 at the bounds and beyond them.

use crate::error::KernelError;
use crate::layer::slices::elementwise::activation_gradient;
use crate::network::Activation;

/// Writes the gradient of the input, element by element.
///
/// # Errors
/// If the lengths differ.
pub fn input_gradient(
    input: &[f32],
    activation: Activation,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    activation_gradient(
        input,
        activation.bounds(),
        output_gradient,
        input_gradient.into(),
    )
}
