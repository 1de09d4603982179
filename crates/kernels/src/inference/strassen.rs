//! Strassen's matrix product in Winograd's form: 7 products of half the depth instead of 8.
//!
//! `A` is a pair of neighbouring pixels, each with two halves of the input channels. `B` is the
//! weights of two panels, by the same halves. `C` is the pair of output pixels, each with the
//! channels of the two panels.
//!
//! ```text
//! S1 = A21 + A22    T1 = B12 - B11     P1 = A11 B11    P5 = S1 T1
//! S2 = S1 - A11     T2 = B22 - T1      P2 = A12 B21    P6 = S2 T2
//! S3 = A11 - A21    T3 = B22 - B12     P3 = S4 B22     P7 = S3 T3
//! S4 = A12 - S2     T4 = T2 - B21      P4 = A22 T4
//!
//! C11 = P1 + P2     U2 = P1 + P6    C21 = U3 - P4    C12 = U4 + P3
//!                   U3 = U2 + P7    C22 = U3 + P5    U4  = U2 + P5
//! ```
//!
//! * The sums of weights (`T`) are computed in f64 when weights are packed. The seven blocks of a
//!   pair of panels are stored in the order in which they are used.
//! * The sums of pixels (`S`) are computed once per band, for all panels.
//! * The sums of products (`U`, `C`) are computed per tile. A product starts with the sums of the
//!   one before, which are in registers; only what is needed twice is stored, in L1. So a tile of
//!   pairs of pixels costs 7 tile products of half the depth and one pass over the sums.
//! * `P1` starts with the bias of the first panel, `P5` with the difference of the two panels'
//!   biases.
//!
//! Rounding errors are about those of a plain sum. But they are relative to the largest activation
//! of a pair of pixels, and not to each pixel's own; after ReLU6 these differ little. A pair is the
//! pixels `2i` and `2i + 1` of the map, whatever the bands and the threads are, so the result does
//! not depend on them.

use std::ops::Range;

use super::context::Context;
use super::matrix::MatrixProduct;
use super::packed::Scheme;
use crate::simd::ahead::Region;
pub(super) use crate::simd::strassen::PRODUCTS;
use crate::simd::{Simd, strassen, tile};

/// Fewest channels, in and out. Below, the prologue and epilogue of a tile cost more than the saved
/// multiply-adds. On Zen 5, 64 -> 128 channels at 56x56 take 0.205 ms instead of a plain sum's
/// 0.211 ms by AVX-512, and 0.377 instead of 0.413 ms by AVX2.
const FEWEST_CHANNELS: usize = 64;

/// Number of weights above which nothing is gained. The scheme has 7/4 as many weights, and those
/// of the last layers act on few pixels and come from far away as it is. Measured on Zen 5 by
/// AVX-512 at width 1.0 and 224x224: 4.53 ms with plain sums, 4.53 ms with the scheme everywhere,
/// and 4.32 ms with it up to 512 -> 512 channels; when other processes use the L3 cache, 4.83 ms
/// with plain sums and 4.78 ms with the scheme. By AVX2, 8.97 and 8.47 ms.
const MOST_WEIGHTS: usize = 512 * 512;

/// Values between the sums of two pairs beyond the sums themselves. See `sized::PIXEL_GAP`.
const SUMS_GAP: usize = 16;

/// Chooses how a pointwise convolution of a depthwise result is computed, by panels of `panel`
/// vectors. Pairs of narrower panels do not occur: their tiles would double the code, for a layer of
/// the widths in between.
pub(super) fn scheme(
    in_channels: usize,
    out_channels: usize,
    lanes: usize,
    panel: usize,
) -> Scheme {
    if in_channels.is_multiple_of(2 * lanes)
        && out_channels.is_multiple_of(2 * panel * lanes)
        && in_channels.min(out_channels) >= FEWEST_CHANNELS
        && in_channels.saturating_mul(out_channels) <= MOST_WEIGHTS
    {
        Scheme::Strassen
    } else {
        Scheme::Plain
    }
}

/// The weights of all blocks, from `[B11, B12, B21, B22]`. `T4` is negated, so that all products
/// are added.
pub(super) fn weights(b: [f32; 4]) -> [f32; PRODUCTS] {
    let [b11, b12, b21, b22] = b.map(f64::from);
    let t1 = b12 - b11;
    let t2 = b22 - t1;
    [b11, b21, t2, b22 - b12, b21 - t2, t1, b22].map(|weight| weight as f32)
}

/// Number of pairs of pixels of a band.
pub(super) fn pairs(pixels: usize) -> usize {
    pixels.div_ceil(2)
}

/// Values from the sums of a pair to those of the next. They are `S2` to `S4`; `S1` takes the place of
/// `A21`, which is in no product.
pub(super) fn sums_stride(depth: usize) -> usize {
    3 * depth / 2 + SUMS_GAP
}

/// No instruction set has a larger tile.
const LARGEST_TILE: usize = 16;

/// Values of a tile's partial results: `P1`, which `U2` replaces later, and `U3`.
pub(super) fn partial_values(panel: usize, lanes: usize) -> usize {
    2 * LARGEST_TILE * panel * lanes
}

/// A band of the depthwise result, and its scratch.
pub(super) struct Band<'a> {
    pub(super) matrix: &'a MatrixProduct,
    /// Number of its pixels, and pointer to the first.
    pub(super) pixels: usize,
    pub(super) input: *mut f32,
    /// `S2` to `S4`.
    pub(super) sums: *mut f32,
    /// The partial results of a tile.
    pub(super) partial: *mut f32,
}

impl Band<'_> {
    /// Computes the sums of some pairs of pixels, for some vectors of half the channels. A last
    /// pixel without a partner is paired with zeros.
    ///
    /// # Safety
    /// These channels of the band's pixels and of their sums must be the thread's. There must be
    /// room for an even number of pixels.
    #[inline(always)]
    pub(super) unsafe fn add_pixels<S: Simd>(
        &self,
        simd: S,
        all: Range<usize>,
        vectors: &Range<usize>,
    ) {
        let pixel = self.matrix.pixel;
        let depth = self.matrix.layout.depth();
        let half = depth / 2;
        // SAFETY: the caller guarantees pixels and sums, with room for an even number of pixels.
        unsafe {
            for pair in all.start..all.end.min(pairs(self.pixels)) {
                let first = self.input.add(2 * pair * pixel);
                let second = first.add(pixel);
                if 2 * pair + 1 == self.pixels {
                    let missing = second.add(vectors.start * S::LANES);
                    let values = vectors.len() * S::LANES;
                    missing.write_bytes(0, values);
                    missing.add(half).write_bytes(0, values);
                }
                let output = self.sums.add(pair * sums_stride(depth));
                strassen::input_sums(simd, [first, second], half, vectors, output);
            }
        }
    }

    /// Computes some pairs of panels. The band begins with row `row` of the output. `next` is read
    /// after it.
    ///
    /// # Safety
    /// The band's pixels and sums must be complete. These rows or panels of the output must be the
    /// thread's.
    #[inline(always)]
    pub(super) unsafe fn multiply<S: Simd>(
        &self,
        simd: S,
        context: &Context<'_>,
        row: usize,
        panels: Range<usize>,
        next: Region,
    ) {
        let Self { matrix, pixels, .. } = *self;
        let (depth, pixel) = (matrix.layout.depth(), matrix.pixel);
        let half = depth / 2;
        let tiles = tile::count::<S>(pairs(pixels));
        let length = PRODUCTS * half;
        let ahead = next.divide(panels.len() * tiles, length);
        // Each input, with its stride from a pair to the next.
        let input = |offset: usize| (self.input.wrapping_add(offset).cast_const(), 2 * pixel);
        let [a11, a12, s1, a22] = [0, half, pixel, pixel + half].map(input);
        let sum = |number: usize| {
            let sum = self.sums.wrapping_add(number * half);
            (sum.cast_const(), sums_stride(depth))
        };
        let [s2, s3, s4] = [0, 1, 2].map(sum);
        for (order, panel) in panels.enumerate() {
            let pair = matrix.layout.pairs().panel(panel);
            let weights = context.weights(matrix.weights + PRODUCTS * pair.offset() / 4);
            let values = PRODUCTS * pair.len() / 4;
            // The next pair of panels, or the next layer's first.
            let next = weights.wrapping_add(values);
            let next = Region::new(next, values * size_of::<f32>()).divide(tiles, length);
            let bias = context.weights(matrix.bias + pair.first);
            let block = strassen::Block {
                inputs: [a11, a12, s2, s3, a22, s1, s4],
                depth: half,
                pixels,
                weights,
                biases: [bias, bias.wrapping_add(pair.width / 2)],
                bounds: matrix.bounds,
                output: matrix
                    .output
                    .cursor(context.pointer(0), row)
                    .channel(pair.first),
                // Threads that share the pixels have other panels, and so other places there.
                discarded: context
                    .pointer::<f32>(context.offsets.discarded)
                    .wrapping_add(pair.first),
                partial: self.partial,
                ahead: [next, ahead.starting_at(order * tiles)],
            };
            // SAFETY: inputs, weights and sums were made in these sizes. The partial results are the
            // thread's, and the caller guarantees the output.
            unsafe { strassen::run(simd, &block) }
        }
    }
}
