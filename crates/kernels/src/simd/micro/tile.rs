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
//! A pointwise convolution has one segment, the channels. A full convolution has one per tap, or
//! one per row of taps where pixels are stored without gaps.
//!
//! Each instruction set has its own sizes of tiles and panels ([`Simd::TILE`], [`Simd::PANEL`]), so
//! that the sums fill the registers. Then each loaded value takes part in many multiply-adds, and
//! there are more independent sums than the 8 that cover 4 cycles of latency on 2 units.

use super::ahead::Walk;
use super::product::{Product, Sums};
use crate::simd::weight::{Weight, load_vectors};
use crate::simd::{Kernel, Simd};

/// One panel, its input and its output.
pub(crate) struct Panel<'a, W> {
    /// Start of each segment, for the first pixel.
    pub(crate) segments: &'a [*const f32],
    /// Values in a segment.
    pub(crate) length: usize,
    /// Values from a pixel's segment to the next pixel's.
    pub(crate) stride: usize,
    /// `[segments * length][vectors * LANES]`.
    pub(crate) weights: *const W,
    /// `[vectors * LANES]`.
    pub(crate) bias: *const f32,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Where the panel's first channel of pixel 0 is written.
    pub(crate) output: *mut f32,
    /// What to prefetch meanwhile: weights, and what else is read next.
    pub(crate) ahead: [Walk; 2],
}

/// Computes `offsets.len()` pixels (1 to [`Simd::TILE`]) by `vectors` vectors of channels (1 to
/// [`Simd::PANEL`]). Pixel `i` is written to `output + offsets[i]`.
///
/// # Safety
/// For every pixel `i`, `length` values must be readable at `i * stride` from the start of each
/// segment. Weights and biases must have the stated sizes. `vectors * LANES` values must be
/// writable at each `output + offsets[i]`, and used by no other thread.
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

/// A separate kernel, so that its many sizes are compiled once and not at each use. The cost of the
/// call is negligible compared with the work of a tile.
struct Call<'a, W> {
    panel: &'a Panel<'a, W>,
    vectors: usize,
    offsets: &'a [usize],
}

impl<W: Weight> Kernel for Call<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Only the sizes that occur on an instruction set are compiled for it.
        macro_rules! choose {
            ($($vectors:literal: $($pixels:literal)*;)*) => {
                match (self.vectors, self.offsets.len()) {
                    $($(($vectors, $pixels) => {
                        // The number of pixels is known at compile time here. Otherwise the sums
                        // would be in memory.
                        if const { $vectors <= S::PANEL && $pixels <= S::TILE }
                            && let Some(offsets) = self.offsets.first_chunk()
                        {
                            // SAFETY: only `run` makes a `Call`, and its caller guarantees that all
                            // this memory is valid.
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

/// Computes one pixel by 1 to 8 vectors, for the classifier. Its panels are wider, because a single
/// pixel has only one sum per vector. Of `panel.ahead` only the first start is used.
///
/// # Safety
/// As [`run`], for one pixel with offset 0.
#[inline(always)]
pub(crate) unsafe fn run_single<S: Simd, W: Weight>(simd: S, panel: &Panel<'_, W>, vectors: usize) {
    macro_rules! choose {
        ($($vectors:literal)*) => {
            match vectors {
                $($vectors => {
                    // SAFETY: the caller guarantees this memory for one pixel with offset 0.
                    unsafe { single::<S, W, $vectors>(simd, panel) }
                })*
                _ => {}
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8);
}

/// # Safety
/// As [`run`], for `PIXELS` and `VECTORS`.
// On wasm32, LLVM would make one function of all sizes, and engines compile that badly.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn fixed<S: Simd, W: Weight, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    panel: &Panel<'_, W>,
    offsets: &[usize; PIXELS],
) {
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let bias = load_vectors::<S, f32, VECTORS>(simd, panel.bias);
        let mut sums = [bias; PIXELS];
        for (index, &segment) in panel.segments.iter().enumerate() {
            let first = index * panel.length;
            let product = Product {
                input: (segment, panel.stride),
                weights: panel.weights.add(first * VECTORS * S::LANES),
                length: panel.length,
                ahead: panel.ahead.map(|walk| walk.after(first)),
            };
            product.add_to(simd, &mut sums);
        }
        store(simd, panel, &sums, offsets);
    }
}

/// # Safety
/// As [`run_single`], for `VECTORS`.
#[inline(always)]
unsafe fn single<S: Simd, W: Weight, const VECTORS: usize>(simd: S, panel: &Panel<'_, W>) {
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let mut sums = [load_vectors::<S, f32, VECTORS>(simd, panel.bias)];
        for (index, &segment) in panel.segments.iter().enumerate() {
            let first = index * panel.length * VECTORS * S::LANES;
            let product = Product {
                input: (segment, 0),
                weights: panel.weights.add(first),
                length: panel.length,
                ahead: panel.ahead.map(|walk| Walk {
                    at: walk.at.wrapping_add(first * size_of::<W>()),
                    ..walk
                }),
            };
            product.stream_to(simd, &mut sums);
        }
        store(simd, panel, &sums, &[0]);
    }
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn store<S: Simd, W, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    panel: &Panel<'_, W>,
    sums: &Sums<S, PIXELS, VECTORS>,
    offsets: &[usize; PIXELS],
) {
    let (low, high) = (simd.splat(panel.bounds.0), simd.splat(panel.bounds.1));
    for (sums, &offset) in sums.iter().zip(offsets) {
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            let output = panel.output.add(offset);
            for (j, &sum) in sums.iter().enumerate() {
                simd.store(output.add(j * S::LANES), simd.clamp(sum, low, high));
            }
        }
    }
}
