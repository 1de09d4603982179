//! Numbers to bytes.

use super::network::{Arithmetic, Quantized};
use super::rounding::ByteScale;
use crate::simd::integer::{
    IntegerIsa, IntegerKernel, IntegerSimd, MOST_LANES, Products, dispatch,
};

/// How numbers become bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quantizer {
    scale: ByteScale,
    arithmetic: Arithmetic,
    products: Products,
}

impl Quantizer {
    pub(super) fn new(quantized: Quantized, arithmetic: Arithmetic, isa: IntegerIsa) -> Self {
        Self {
            scale: quantized.into(),
            arithmetic,
            products: isa.products(),
        }
    }

    /// Writes a byte for each number. What is not a number becomes the zero point.
    pub(super) fn write(&self, numbers: &[f32], to: &mut [u8]) {
        let ByteScale {
            scale, zero_point, ..
        } = self.scale;
        match self.arithmetic {
            Arithmetic::Xnnpack | Arithmetic::Optimized => {
                let factor = 1.0 / scale;
                let quantize = Quantize {
                    numbers,
                    to,
                    factor,
                    zero_point,
                };
                dispatch(self.products, quantize);
            }
            Arithmetic::Reference => {
                for (to, number) in to.iter_mut().zip(numbers) {
                    // The conversion saturates.
                    let steps = (number / scale).round() as i32;
                    *to = steps.saturating_add(zero_point).clamp(0, 255) as u8;
                }
            }
        }
    }
}

/// Numbers times a factor.
struct Quantize<'a> {
    numbers: &'a [f32],
    to: &'a mut [u8],
    factor: f32,
    zero_point: i32,
}

impl IntegerKernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) {
        let parts = self.to.chunks_mut(S::LANES);
        for (to, numbers) in parts.zip(self.numbers.chunks(S::LANES)) {
            let mut last = [0.0; MOST_LANES];
            let from = if numbers.len() == S::LANES {
                numbers
            } else {
                last[..numbers.len()].copy_from_slice(numbers);
                &last
            };
            // SAFETY: there are as many numbers as lanes; no more bytes are written than there are.
            unsafe {
                let bytes = simd.quantize(from.as_ptr(), self.factor, self.zero_point);
                simd.store_bytes(to.as_mut_ptr(), bytes, to.len());
            }
        }
    }
}
