//! From sums to bytes, at the end of every kernel.

use super::vector::{IntegerSimd, MOST_LANES};

/// How sums become bytes. Kernels choose for all pixels of a tile or a block at once: a loop that may
/// call a function keeps nothing in vector registers, and what it calls a function with, in memory.
#[derive(Clone, Copy)]
pub(crate) enum Rounding<'a> {
    /// In vectors.
    F32(Scaling),
    /// By a function, which need not be fast.
    Exact(&'a dyn ExactRounding),
}

/// Sums as f32 times a factor, with ties to even.
#[derive(Clone, Copy)]
pub(crate) struct Scaling {
    /// One factor for each channel, and for as many more as a vector holds.
    pub(crate) factors: *const f32,
    /// Bounds of the product.
    pub(crate) bounds: [f32; 2],
    /// What is added to the rounded product.
    pub(crate) zero_point: i32,
}

impl Scaling {
    /// The same from a channel on.
    #[inline(always)]
    pub(super) fn from(self, channel: usize) -> Self {
        let factors = self.factors.wrapping_add(channel);
        Self { factors, ..self }
    }

    /// The byte of the lower bound.
    #[inline(always)]
    pub(super) fn least_byte(self) -> u8 {
        (self.bounds[0] as i32 + self.zero_point) as u8
    }

    /// The sums of a pixel, from a channel on, as integers from 0 to 255.
    ///
    /// # Safety
    /// There are factors for the vectors.
    #[inline(always)]
    pub(super) unsafe fn bytes<S: IntegerSimd, const V: usize>(
        &self,
        simd: S,
        mut sums: [S::Sums; V],
        channel: usize,
    ) -> [S::Sums; V] {
        for (v, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's guarantee.
            unsafe {
                let factors = self.factors.add(channel + v * S::LANES);
                *sums = simd.scale(*sums, factors, self.bounds, self.zero_point);
            }
        }
        sums
    }
}

/// A rounding without vectors.
pub(crate) trait ExactRounding: Sync {
    /// The byte for a sum of a channel.
    fn byte(&self, channel: usize, sum: i32) -> u8;
}

impl dyn ExactRounding + '_ {
    /// The first `count` sums of a vector, from a channel on, as integers from 0 to 255.
    #[inline(always)]
    pub(super) fn bytes<S: IntegerSimd>(
        &self,
        simd: S,
        sums: S::Sums,
        channel: usize,
        count: usize,
    ) -> S::Sums {
        let mut lanes = [0i32; MOST_LANES];
        // SAFETY: there is room for the lanes of any instruction set.
        unsafe { simd.store(lanes.as_mut_ptr(), sums) };
        for (lane, sum) in lanes.iter_mut().enumerate().take(count) {
            *sum = self.byte(channel + lane, *sum).into();
        }
        // SAFETY: as above.
        unsafe { simd.load(lanes.as_ptr()) }
    }
}
