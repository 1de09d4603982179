//! The gradient on its way through `activation(x * scale + shift)`: it passes where the value lies
//! strictly between the activation's bounds. The value is computed again as the forward pass did,
//! which costs less than to read it.

use super::parts::sum_of_parts;
use crate::activation::Activation;
use crate::error::{KernelError, check_length};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Pixels that are summed in f32 before they are added to a sum in f64.
pub(super) const CHUNK: usize = 64;

/// Input and gradient of `activation(x * scale + shift)` on `[pixels, channels]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate<'a> {
    input: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) bounds: (f32, f32),
    output_gradient: &'a [f32],
    pub(super) isa: Isa,
}

impl<'a> Gate<'a> {
    pub(super) fn new(
        input: &'a [f32],
        scale: &'a [f32],
        shift: &'a [f32],
        activation: Activation,
        output_gradient: &'a [f32],
    ) -> Result<Self, KernelError> {
        let channels = scale.len();
        if channels == 0 {
            return Err(KernelError::Zero { what: "channels" });
        }
        check_length("shift", shift.len(), &[channels])?;
        check_length("input", input.len(), &[input.len() / channels, channels])?;
        check_length("output gradient", output_gradient.len(), &[input.len()])?;
        Ok(Self {
            input,
            scale,
            shift,
            bounds: activation.bounds(),
            output_gradient,
            isa: Isa::current()?,
        })
    }

    /// Sums over pixels of the gated gradient, and of gated gradient times `input - centre`.
    pub(super) fn sums(&self, centre: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let channels = self.scale.len();
        let chunk = CHUNK * channels;
        let chunks = self.input.len().div_ceil(chunk);
        let mut sums = sum_of_parts(chunks, 2 * channels, |range, sums: &mut [f64]| {
            let mut single = vec![0.0f32; 2 * channels];
            for index in range {
                let values = index * chunk..((index + 1) * chunk).min(self.input.len());
                single.fill(0.0);
                let (gradients, products) = single.split_at_mut(channels);
                let work = Sums {
                    gate: self,
                    input: &self.input[values.clone()],
                    output_gradient: &self.output_gradient[values],
                    centre,
                    gradients,
                    products,
                };
                dispatch(self.isa, work);
                for (sum, value) in sums.iter_mut().zip(&single) {
                    *sum += f64::from(*value);
                }
            }
        });
        let products = sums.split_off(channels);
        (sums, products)
    }
}

/// The gradient of one value.
#[inline(always)]
pub(super) fn gated(y: f32, (low, high): (f32, f32), gradient: f32) -> f32 {
    if (low < y) & (y < high) {
        gradient
    } else {
        0.0
    }
}

struct Sums<'a, 'b> {
    gate: &'a Gate<'b>,
    input: &'a [f32],
    output_gradient: &'a [f32],
    centre: &'a [f32],
    gradients: &'a mut [f32],
    products: &'a mut [f32],
}

impl Kernel for Sums<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let channels = self.gradients.len();
        // Slices of one length known to be equal: the loop below then needs no checks.
        let (scale, shift) = (&self.gate.scale[..channels], &self.gate.shift[..channels]);
        let centre = &self.centre[..channels];
        let (sums, products) = (self.gradients, &mut self.products[..channels]);
        let pixels = self.input.chunks_exact(channels);
        for (x, g) in pixels.zip(self.output_gradient.chunks_exact(channels)) {
            for c in 0..channels {
                let g = gated(x[c] * scale[c] + shift[c], self.gate.bounds, g[c]);
                sums[c] += g;
                products[c] += g * (x[c] - centre[c]);
            }
        }
    }
}
