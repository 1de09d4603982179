//! From sums to bytes, at the end of every kernel.

use super::IntegerIsa;
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

/// What is left to do for each vector, without a choice.
#[derive(Clone, Copy)]
pub(super) struct Scaling {
    factors: *const f32,
    bounds: [f32; 2],
    zero_point: i32,
}

/// Factors of sums that are bytes already, for the vectors of the widest panel.
static ONES: [f32; WIDEST] = [1.; WIDEST];

/// Sums of a pixel in the widest panel.
const WIDEST: usize = 4 * IntegerIsa::MOST_LANES;

impl Rounding<'_> {
    /// Begins to round the sums of some pixels, `channels` of them from `channel` on, in `V`
    /// vectors. The choice, and the call of a function, are here for all pixels at once: a loop that
    /// has a call in it keeps nothing in vector registers.
    ///
    /// # Safety
    /// Factors must be readable for the vectors.
    #[inline(always)]
    pub(super) unsafe fn begin<S: IntegerSimd, const V: usize>(
        &self,
        simd: S,
        pixels: &mut [[S::Sums; V]],
        channel: usize,
        channels: usize,
    ) -> Scaling {
        match *self {
            Self::F32 {
                factors,
                bounds,
                zero_point,
            } => Scaling {
                factors: factors.wrapping_add(channel),
                bounds,
                zero_point,
            },
            Self::Exact(rounding) => {
                const { assert!(V * S::LANES <= WIDEST) };
                for sums in pixels {
                    for (v, sums) in sums.iter_mut().enumerate() {
                        let first = v * S::LANES;
                        let count = (channels - first).min(S::LANES);
                        *sums = exact(simd, *sums, rounding, channel + first, count);
                    }
                }
                Scaling {
                    factors: ONES.as_ptr(),
                    bounds: [0., 255.],
                    zero_point: 0,
                }
            }
        }
    }
}

impl Scaling {
    /// The sums of a pixel as integers from 0 to 255.
    ///
    /// # Safety
    /// The vectors are those, or some of those, with which the rounding began.
    #[inline(always)]
    pub(super) unsafe fn bytes<S: IntegerSimd, const V: usize>(
        &self,
        simd: S,
        mut sums: [S::Sums; V],
    ) -> [S::Sums; V] {
        for (v, sums) in sums.iter_mut().enumerate() {
            // SAFETY: there are factors for each vector.
            unsafe {
                let factors = self.factors.add(v * S::LANES);
                *sums = simd.scale(*sums, factors, self.bounds, self.zero_point);
            }
        }
        sums
    }
}

// A browser's module has it once; elsewhere a function that is called has not its caller's instruction
// set.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn exact<S: IntegerSimd>(
    simd: S,
    sums: S::Sums,
    rounding: &dyn ExactRounding,
    channel: usize,
    count: usize,
) -> S::Sums {
    let mut lanes = [0i32; IntegerIsa::MOST_LANES];
    // SAFETY: there is room for the lanes of any instruction set.
    unsafe { simd.store(lanes.as_mut_ptr(), sums) };
    for (lane, sum) in lanes.iter_mut().enumerate().take(count) {
        *sum = rounding.byte(channel + lane, *sum).into();
    }
    // SAFETY: as above.
    unsafe { simd.load(lanes.as_ptr()) }
}
