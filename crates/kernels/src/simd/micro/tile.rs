//! The matrix product: a tile of pixels times a panel of output channels, all sums in registers.
//!
//! ```text
//! sums[i][j] = bias[j]
//! for each segment, for each k:                  a segment is a run of neighbouring input values
//!     w[j]        = weights[k][j]                PANEL vectors of output channels
//!     sums[i][j] += input[i * stride + k] * w[j]   TILE pixels, each value broadcast
//! output[i][j] = clamp(sums[i][j])
//! ```
//!
//! A pointwise convolution has one segment, the channels; a full convolution has one for each tap,
//! or for each row of taps where pixels are stored without gaps. Sizes of tiles and panels are the
//! instruction set's ([`Simd::TILE`], [`Simd::PANEL`]): as many sums as registers hold, so that
//! each loaded value takes part in many multiply-adds, and twice the 4 cycles of latency times 2
//! units are covered.

use crate::simd::weight::Weight;
use crate::simd::{Kernel, Simd};

/// One panel and where its input and output are.
pub(crate) struct Panel<'a, W> {
    /// First value of each segment, for the first pixel.
    pub(crate) segments: &'a [*const f32],
    /// Values in a segment.
    pub(crate) length: usize,
    /// Values between the segments of neighbouring pixels.
    pub(crate) stride: usize,
    /// `[segments * length][vectors * LANES]`.
    pub(crate) weights: *const W,
    /// `[vectors * LANES]`.
    pub(crate) bias: *const f32,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Where the panel's first channel of pixel 0 goes.
    pub(crate) output: *mut f32,
    /// What to ask into the cache meanwhile, so many values for each k.
    pub(crate) prefetch: (*const W, usize),
}

/// Computes as many pixels as there are offsets (1 to [`Simd::TILE`]) by `vectors` (1 to
/// [`Simd::PANEL`]); an offset says where a pixel's output lies.
///
/// # Safety
/// For every pixel `i` and segment, `length` values must be readable at `i * stride`; weights and
/// biases must have the stated sizes; at `output + offsets[i]`, `vectors * LANES` values must
/// be writable and belong to nobody else.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd, W: Weight>(
    simd: S,
    panel: &Panel<'_, W>,
    vectors: usize,
    offsets: &[usize],
) {
    simd.vectorize(Call {
        panel,
        vectors,
        offsets,
    });
}

/// A kernel of its own, so that its many sizes are compiled once and not at each use; the
/// call is nothing beside a tile's work.
struct Call<'a, W> {
    panel: &'a Panel<'a, W>,
    vectors: usize,
    offsets: &'a [usize],
}

impl<W: Weight> Kernel for Call<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Only the sizes that the instruction set has are compiled for it.
        macro_rules! choose {
            ($($vectors:literal: $($pixels:literal)*;)*) => {
                match (self.vectors, self.offsets.len()) {
                    $($(($vectors, $pixels) => {
                        // A number of offsets known at compile time: with any other, the sums would be
                        // in memory.
                        if const { $vectors <= S::PANEL && $pixels <= S::TILE }
                            && let Some(offsets) = self.offsets.first_chunk()
                        {
                            // SAFETY: only `run` makes a call, whose caller vouches for
                            // all this memory.
                            unsafe { fixed::<S, W, $pixels, $vectors>(simd, self.panel, offsets) }
                        }
                    })*)*
                    _ => {}
                }
            };
        }
        choose! {
            1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
            2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
            3: 1 2 3 4 5 6;
            4: 1 2 3 4 5 6;
        }
    }
}

/// Computes one pixel by up to 8 vectors: the classifier, whose panels are wider because a single
/// pixel has only one sum a vector.
///
/// # Safety
/// As [`run`], for one pixel with offset 0.
#[inline(always)]
pub(crate) unsafe fn run_single<S: Simd, W: Weight>(simd: S, panel: &Panel<'_, W>, vectors: usize) {
    macro_rules! choose {
        ($($vectors:literal)*) => {
            match vectors {
                $($vectors => {
                    // SAFETY: passed on from the caller.
                    unsafe { fixed::<S, W, 1, $vectors>(simd, panel, &[0]) }
                })*
                _ => {}
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8);
}

/// # Safety
/// As [`run`], for `PIXELS` and `VECTORS`.
#[inline(always)]
unsafe fn fixed<S: Simd, W: Weight, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    panel: &Panel<'_, W>,
    offsets: &[usize; PIXELS],
) {
    // SAFETY: the caller vouches for all this memory.
    unsafe {
        let bias: [S::Vector; VECTORS] =
            std::array::from_fn(|j| simd.load(panel.bias.add(j * S::LANES)));
        let mut sums = [bias; PIXELS];
        let mut weights = panel.weights;
        let (mut ahead, ahead_step) = panel.prefetch;
        for &segment in panel.segments {
            let mut input = segment;
            for _ in 0..panel.length {
                let w: [S::Vector; VECTORS] =
                    std::array::from_fn(|j| W::load(simd, weights.add(j * S::LANES)));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let value = simd.splat(*input.add(i * panel.stride));
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = simd.mul_add(w, value, *sum);
                    }
                }
                simd.prefetch(ahead);
                ahead = ahead.wrapping_add(ahead_step);
                input = input.add(1);
                weights = weights.add(VECTORS * S::LANES);
            }
        }
        let (low, high) = (simd.splat(panel.bounds.0), simd.splat(panel.bounds.1));
        for (sums, &offset) in sums.iter().zip(offsets) {
            let output = panel.output.add(offset);
            for (j, &sum) in sums.iter().enumerate() {
                simd.store(output.add(j * S::LANES), simd.clamp(sum, low, high));
            }
        }
    }
}
