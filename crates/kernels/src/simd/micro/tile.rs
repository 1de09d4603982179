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

use super::ahead::Ahead;
use super::product::{Product, Sums};
use crate::partition::parts;
use crate::simd::cursor::Cursor;
use crate::simd::weight::{Weight, load_vectors};
use crate::simd::{Kernel, Simd};

/// Pixels, and the panels that they are multiplied by. A tile is multiplied by all of them before the
/// next tile is.
pub(crate) struct Block<'a, W> {
    /// Start of each segment, for the first pixel.
    pub(crate) segments: &'a [*const f32],
    /// Values in a segment.
    pub(crate) length: usize,
    /// Values from a pixel's segment to the next pixel's.
    pub(crate) stride: usize,
    pub(crate) pixels: usize,
    pub(crate) panels: usize,
    /// Vectors of a panel, 1 to [`Simd::PANEL`].
    pub(crate) vectors: usize,
    /// `[panels][segments * length][vectors * LANES]`.
    pub(crate) weights: *const W,
    /// `[panels][vectors * LANES]`.
    pub(crate) bias: *const f32,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Where the first panel's first channel of the pixels is written.
    pub(crate) output: Cursor<f32>,
    /// What to prefetch meanwhile, divided among the tiles of all panels: weights, and what else is
    /// read next.
    pub(crate) ahead: [Ahead; 2],
}

/// Number of tiles of a block of pixels.
pub(crate) fn count<S: Simd>(pixels: usize) -> usize {
    parts(pixels, S::TILE, 1)
}

/// Computes a block.
///
/// # Safety
/// For every pixel `i`, `length` values must be readable at `i * stride` from the start of each
/// segment. Weights and biases must have the stated sizes. The panels' vectors must be writable at each
/// pixel of the output, and used by no other thread.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd, W: Weight>(simd: S, block: &Block<'_, W>) {
    simd.vectorize(Call(block));
}

/// A separate kernel, so that its many sizes are compiled once and not at each use.
struct Call<'a, W>(&'a Block<'a, W>);

impl<W: Weight> Kernel for Call<'_, W> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::collapsible_match,
        reason = "a guard would not keep other sizes from being compiled"
    )]
    fn run<S: Simd>(self, simd: S) {
        let block = self.0;
        let count = count::<S>(block.pixels);
        let (size, longer) = (block.pixels / count, block.pixels % count);
        let mut next = Next {
            pixel: 0,
            tile: 0,
            output: block.output,
        };
        // Only the sizes that occur on an instruction set are compiled for it.
        macro_rules! choose {
            ($size:ident, $count:ident; $($vectors:literal: $($pixels:literal)*;)*) => {
                match (block.vectors, $size) {
                    $($(($vectors, $pixels) => {
                        // The number of pixels is known at compile time here. Otherwise the sums
                        // would be in memory.
                        if const { $vectors <= S::PANEL && $pixels <= S::TILE } {
                            // SAFETY: only `run` makes a `Call`, and its caller guarantees that all
                            // this memory is valid. These tiles follow the ones before.
                            unsafe { tiles::<S, W, $pixels, $vectors>(simd, block, $count, &mut next) }
                        }
                    })*)*
                    _ => {}
                }
            };
        }
        for (size, count) in [(size + 1, longer), (size, count - longer)] {
            choose! { size, count;
                1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
                2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
                3: 1 2 3 4 5 6;
                4: 1 2 3 4 5 6;
            }
        }
    }
}

/// What comes next of a block.
struct Next {
    pixel: usize,
    /// Number of tiles before, of all panels.
    tile: usize,
    output: Cursor<f32>,
}

/// Computes some tiles of `PIXELS` pixels.
///
/// # Safety
/// As [`run`], for `VECTORS`; so many pixels are left.
// On wasm32, LLVM would make one function of all sizes, and engines compile that badly.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn tiles<S: Simd, W: Weight, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    block: &Block<'_, W>,
    count: usize,
    next: &mut Next,
) {
    let width = VECTORS * S::LANES;
    let depth = block.segments.len() * block.length;
    for _ in 0..count {
        let mut output = next.output;
        for panel in 0..block.panels {
            output = next.output;
            // SAFETY: the caller's guarantee; there is that panel.
            unsafe {
                let bias = load_vectors::<S, f32, VECTORS>(simd, block.bias.add(panel * width));
                let mut sums = [bias; PIXELS];
                let weights = block.weights.add(panel * depth * width);
                let ahead = block.ahead.map(|ahead| ahead.of_tile(next.tile));
                for (index, &segment) in block.segments.iter().enumerate() {
                    let first = index * block.length;
                    let product = Product {
                        input: (segment.add(next.pixel * block.stride), block.stride),
                        weights: weights.add(first * width),
                        length: block.length,
                        ahead: ahead.map(|walk| walk.after(first)),
                    };
                    product.add_to(simd, &mut sums);
                }
                store(simd, block.bounds, &sums, panel * width, &mut output);
            }
            next.tile += 1;
        }
        next.output = output;
        next.pixel += PIXELS;
    }
}

/// Computes one pixel by one panel of 1 to 8 vectors, for the classifier. Its panels are wider, because
/// a single pixel has only one sum per vector. Of `block.ahead` only the first start is used.
///
/// # Safety
/// As [`run`].
#[inline(always)]
pub(crate) unsafe fn run_single<S: Simd, W: Weight>(simd: S, block: &Block<'_, W>) {
    macro_rules! choose {
        ($($vectors:literal)*) => {
            match block.vectors {
                $($vectors => {
                    // SAFETY: the caller guarantees this memory for one pixel.
                    unsafe { single::<S, W, $vectors>(simd, block) }
                })*
                _ => {}
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8);
}

/// # Safety
/// As [`run_single`], for `VECTORS`.
#[inline(always)]
unsafe fn single<S: Simd, W: Weight, const VECTORS: usize>(simd: S, block: &Block<'_, W>) {
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let mut sums = [load_vectors::<S, f32, VECTORS>(simd, block.bias)];
        let ahead = block.ahead.map(|ahead| ahead.of_tile(0));
        for (index, &segment) in block.segments.iter().enumerate() {
            let first = index * block.length * VECTORS * S::LANES;
            let product = Product {
                input: (segment, 0),
                weights: block.weights.add(first),
                length: block.length,
                ahead: ahead.map(|walk| walk.further(first * size_of::<W>())),
            };
            product.stream_to(simd, &mut sums);
        }
        store(simd, block.bounds, &sums, 0, &mut block.output.clone());
    }
}

/// Writes finished sums to the next pixels, from a channel on.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn store<S: Simd, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    (low, high): (f32, f32),
    sums: &Sums<S, PIXELS, VECTORS>,
    channel: usize,
    output: &mut Cursor<f32>,
) {
    let (low, high) = (simd.splat(low), simd.splat(high));
    for sums in sums {
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            let output = output.next().add(channel);
            for (j, &sum) in sums.iter().enumerate() {
                simd.store(output.add(j * S::LANES), simd.clamp(sum, low, high));
            }
        }
    }
}
