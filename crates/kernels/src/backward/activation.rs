//! The gradient of an activation: 0 at and beyond its bounds.

use rayon::prelude::*;

use crate::activation::{Activation, CHUNK};
use crate::error::{KernelError, check_length};

/// The gradient of the input, element by element.
///
/// # Errors
/// Where the lengths differ.
pub fn input_gradient(
    input: &[f32],
    activation: Activation,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    check_length("output gradient", output_gradient.len(), &[input.len()])?;
    check_length("input gradient", input_gradient.len(), &[input.len()])?;
    let (low, high) = activation.bounds();
    input_gradient
        .par_chunks_mut(CHUNK)
        .zip(input.par_chunks(CHUNK))
        .zip(output_gradient.par_chunks(CHUNK))
        .for_each(|((input_gradient, input), output_gradient)| {
            let values = input.iter().zip(output_gradient);
            for (dx, (&x, &g)) in input_gradient.iter_mut().zip(values) {
                *dx = if (low < x) & (x < high) { g } else { 0.0 };
            }
        });
    Ok(())
}
