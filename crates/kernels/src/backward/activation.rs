//! The gradient of an activation: 0 at and beyond its bounds.

use rayon::prelude::*;

use super::gate::gated;
use crate::activation::{Activation, CHUNK};
use crate::error::{KernelError, check_length};
use crate::simd::{Isa, Kernel, Simd, dispatch};

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
    let isa = Isa::current()?;
    let bounds = activation.bounds();
    input_gradient
        .par_chunks_mut(CHUNK)
        .zip(input.par_chunks(CHUNK))
        .zip(output_gradient.par_chunks(CHUNK))
        .for_each(|((input_gradient, input), output_gradient)| {
            let work = Values {
                input,
                bounds,
                output_gradient,
                input_gradient,
            };
            dispatch(isa, work);
        });
    Ok(())
}

struct Values<'a> {
    input: &'a [f32],
    bounds: (f32, f32),
    output_gradient: &'a [f32],
    input_gradient: &'a mut [f32],
}

impl Kernel for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let values = self.input.iter().zip(self.output_gradient);
        for (dx, (&x, &g)) in self.input_gradient.iter_mut().zip(values) {
            *dx = gated(x, self.bounds, g);
        }
    }
}
