//! Gradients of [`crate::batch_norm::scale_shift`]: of batch normalisation by running statistics,
//! and of a bias.

use rayon::prelude::*;

use super::gate::{CHUNK, Gate, gated};
use crate::activation::Activation;
use crate::error::{KernelError, check_length};
use crate::simd::{Kernel, Simd, dispatch};

/// Gradients of scale and shift, one value a channel.
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
/// Where the lengths do not fit.
pub fn parameter_gradients(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    output_gradient: &[f32],
) -> Result<ParameterGradients, KernelError> {
    let gate = Gate::new(input, scale, shift, activation, output_gradient)?;
    let (sums, products) = gate.sums(&vec![0.0; scale.len()]);
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    Ok(ParameterGradients {
        scale: single(products),
        shift: single(sums),
    })
}

/// The gradient of the input; shapes as in [`crate::batch_norm::scale_shift`].
///
/// # Errors
/// Where the lengths do not fit.
pub fn input_gradient(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    check_length("input gradient", input_gradient.len(), &[input.len()])?;
    let gate = Gate::new(input, scale, shift, activation, output_gradient)?;
    let chunk = CHUNK * scale.len();
    input_gradient
        .par_chunks_mut(chunk)
        .zip(input.par_chunks(chunk))
        .zip(output_gradient.par_chunks(chunk))
        .for_each(|((input_gradient, input), output_gradient)| {
            let work = Pixels {
                gate: &gate,
                input,
                output_gradient,
                input_gradient,
            };
            dispatch(gate.isa, work);
        });
    Ok(())
}

struct Pixels<'a, 'b> {
    gate: &'a Gate<'b>,
    input: &'a [f32],
    output_gradient: &'a [f32],
    input_gradient: &'a mut [f32],
}

impl Kernel for Pixels<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let channels = self.gate.scale.len();
        // Slices of one length known to be equal: the loop below then needs no checks.
        let (scale, shift) = (&self.gate.scale[..channels], &self.gate.shift[..channels]);
        let pixels = self.input.chunks_exact(channels);
        let pixels = pixels.zip(self.output_gradient.chunks_exact(channels));
        for (dx, (x, g)) in self.input_gradient.chunks_exact_mut(channels).zip(pixels) {
            for c in 0..channels {
                let y = x[c] * scale[c] + shift[c];
                dx[c] = gated(y, self.gate.bounds, g[c]) * scale[c];
            }
        }
    }
}
