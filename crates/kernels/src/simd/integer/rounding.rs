//! From sums to bytes, at the end of every kernel.

use super::vector::IntegerSimd;

/// How sums become bytes.
#[derive(Clone, Copy)]
pub(crate) enum Rounding<'a> {
    /// As f32 times a factor, with ties to even.
    F32 {
        /// One factor for each channel, and for as many more as a vector holds.
        factors: *const f32,
        /// Bounds of the product.
        bounds: [f32; 2],
        /// What is added to the rounded product.
        zero_point: i32,
    },
    /// By a function, which need not be fast.
    Exact(&'a dyn ExactRounding),
}

/// A rounding without vectors.
pub(crate) trait ExactRounding: Sync {
    /// The byte for a sum of a channel.
    fn byte(&self, channel: usize, sum: i32) -> u8;
}

impl Rounding<'_> {
    /// Sums of the channels from `channel` on, `count` of them, as integers from 0 to 255.
    ///
    /// # Safety
    /// Factors must be readable for a vector from `channel` on.
    #[inline(always)]
    pub(super) unsafe fn bytes<S: IntegerSimd>(
        &self,
        simd: S,
        sums: S::Sums,
        channel: usize,
        count: usize,
    ) -> S::Sums {
        match *self {
            Self::F32 {
                factors,
                bounds: [low, high],
                zero_point,
            } => {
                // SAFETY: the caller guarantees the factors.
                let steps = unsafe { simd.scale(sums, factors.add(channel), low, high) };
                simd.add(steps, zero_point)
            }
            Self::Exact(rounding) => exact(simd, sums, rounding, channel, count),
        }
    }
}

/// Most lanes of a vector.
const MOST_LANES: usize = 16;

#[inline(always)]
fn exact<S: IntegerSimd>(
    simd: S,
    sums: S::Sums,
    rounding: &dyn ExactRounding,
    channel: usize,
    count: usize,
) -> S::Sums {
    let mut lanes = [0i32; MOST_LANES];
    // SAFETY: there is room for the lanes of any instruction set.
    unsafe { simd.store(lanes.as_mut_ptr(), sums) };
    for (lane, sum) in lanes.iter_mut().enumerate().take(count) {
        *sum = rounding.byte(channel + lane, *sum).into();
    }
    // SAFETY: as above.
    unsafe { simd.load(lanes.as_ptr()) }
}
