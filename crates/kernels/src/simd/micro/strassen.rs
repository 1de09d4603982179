//! Micro-kernels of Strassen's scheme: the sums of inputs, and a tile of all its products. See
//! `inference/strassen.rs` for the scheme and its names.

use std::ops::Range;

use super::ahead::{Ahead, Walk};
use super::product::{Product, Sums};
use super::tile;
use crate::simd::cursor::Cursor;
use crate::simd::opaque::opaque;
use crate::simd::weight::load_vectors;
use crate::simd::{Kernel, Simd};

/// Number of products of half the depth that replace one product.
pub(crate) const PRODUCTS: usize = 7;

/// Computes `S1` to `S4` of a pair of pixels, `[A11 A12]` and `[A21 A22]`, for some vectors of half
/// a pixel's channels. A half has `half` values. `S1` replaces `A21`; the others are written to
/// `output`, `half` values apart.
///
/// # Safety
/// Both pixels and the output must be readable and writable, and used by no other thread.
#[inline(always)]
pub(crate) unsafe fn input_sums<S: Simd>(
    simd: S,
    pixels: [*mut f32; 2],
    half: usize,
    vectors: &Range<usize>,
    output: *mut f32,
) {
    for channel in vectors.clone().map(|vector| vector * S::LANES) {
        // SAFETY: the caller guarantees that this memory is valid.
        unsafe {
            let [a11, a21] = pixels.map(|pixel| simd.load(pixel.add(channel)));
            let [a12, a22] = pixels.map(|pixel| simd.load(pixel.add(half + channel)));
            let s1 = simd.add(a21, a22);
            let s2 = simd.subtract(s1, a11);
            simd.store(pixels[1].add(channel), s1);
            let output = output.add(channel);
            simd.store(output, s2);
            simd.store(output.add(half), simd.subtract(a11, a21));
            simd.store(output.add(2 * half), simd.subtract(a12, s2));
        }
    }
}

/// Pairs of pixels, and a pair of full panels ([`Simd::PANEL`] vectors each) that they are multiplied by.
pub(crate) struct Block {
    /// For each product in order: the first pair's input, and the values from a pair to the next.
    pub(crate) inputs: [(*const f32, usize); PRODUCTS],
    /// Half the input channels.
    pub(crate) depth: usize,
    /// Number of pixels. The last of an odd number has a partner that is read, but not written.
    pub(crate) pixels: usize,
    /// `[PRODUCTS][depth][PANEL * LANES]`.
    pub(crate) weights: *const f32,
    /// Initial sums of `P1` and `P5`, `[PANEL * LANES]` each.
    pub(crate) biases: [*const f32; 2],
    pub(crate) bounds: (f32, f32),
    /// Where the first panel's first channel of the pixels is written. The second panel's follow.
    pub(crate) output: Cursor<f32>,
    /// The same for a partner that does not exist.
    pub(crate) discarded: *mut f32,
    /// Scratch for two sums per output of a panel.
    pub(crate) partial: *mut f32,
    /// What to prefetch meanwhile, divided among tiles: weights, and what else is read next.
    pub(crate) ahead: [Ahead; 2],
}

/// Computes a block, tile by tile.
///
/// # Safety
/// Inputs, weights, biases and `partial` must be as the fields say. Both panels' vectors must be writable
/// at the pixels of the output and where one is discarded, and used by no other thread.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(simd: S, block: &Block) {
    simd.vectorize(Call(block));
}

/// A separate kernel, so that its many sizes are compiled once.
struct Call<'a>(&'a Block);

impl Kernel for Call<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let block = self.0;
        let pairs = block.pixels.div_ceil(2);
        let count = tile::count::<S>(pairs);
        let (size, longer) = (pairs / count, pairs % count);
        let mut next = Next {
            pair: 0,
            tile: 0,
            output: block.output,
        };
        // Only the sizes that occur on an instruction set are compiled for it.
        macro_rules! choose {
            ($size:ident, $count:ident; $($vectors:literal: $($pairs:literal)*;)*) => {
                match $size {
                    $($($pairs if const { $vectors == S::PANEL && $pairs <= S::TILE } => {
                        // The number of pairs is known at compile time here. Otherwise the sums
                        // would be in memory.
                        // SAFETY: only `run` makes a `Call`, and its caller guarantees that all
                        // this memory is valid. These tiles follow the ones before.
                        unsafe { tiles::<S, $pairs, $vectors>(simd, block, $count, &mut next) }
                    })*)*
                    _ => {}
                }
            };
        }
        for (size, count) in [(size + 1, longer), (size, count - longer)] {
            choose! { size, count;
                2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
                4: 1 2 3 4 5 6;
            }
        }
    }
}

/// What comes next of a block.
struct Next {
    pair: usize,
    tile: usize,
    output: Cursor<f32>,
}

/// Computes some tiles of `PAIRS` pairs.
///
/// # Safety
/// As [`run`]; so many pairs are left.
#[inline(always)]
unsafe fn tiles<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    block: &Block,
    count: usize,
    next: &mut Next,
) {
    for _ in 0..count {
        let (mut even, mut odd) = ([block.discarded; PAIRS], [block.discarded; PAIRS]);
        for (index, (even, odd)) in even.iter_mut().zip(&mut odd).enumerate() {
            *even = next.output.next();
            if 2 * (next.pair + index) + 1 < block.pixels {
                *odd = next.output.next();
            }
        }
        let tile = Tile::<PAIRS> {
            block,
            pair: next.pair,
            ahead: block.ahead.map(|ahead| ahead.of_tile(next.tile)),
            even,
            odd,
        };
        // SAFETY: the caller's guarantee.
        unsafe { fixed::<S, PAIRS, VECTORS>(simd, &tile) }
        next.pair += PAIRS;
        next.tile += 1;
    }
}

/// A tile of pairs of pixels.
struct Tile<'a, const PAIRS: usize> {
    block: &'a Block,
    /// Index of its first pair.
    pair: usize,
    ahead: [Walk; 2],
    /// The first panel's first channel of each pair's first pixel, and of its second.
    even: [*mut f32; PAIRS],
    odd: [*mut f32; PAIRS],
}

/// # Safety
/// As [`tiles`], for one tile.
// On wasm32, as `tile::tiles`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn fixed<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    tile: &Tile<'_, PAIRS>,
) {
    let block = tile.block;
    let u = block.partial;
    let u3 = u.wrapping_add(PAIRS * VECTORS * S::LANES);
    let (left, right) = (0, VECTORS * S::LANES);
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let mut sums: Sums<S, PAIRS, VECTORS> = [load_vectors(simd, block.biases[0]); PAIRS];
        // Their number is opaque: seven copies of the product's loop, for each number of pairs, are more
        // than processors keep of decoded instructions.
        for index in 0..opaque(PRODUCTS) {
            add_product(simd, tile, index, &mut sums);
            match index {
                0 => keep(simd, &sums, u),
                1 => {
                    finish(simd, block, &sums, &tile.even, left);
                    sums = kept(simd, u);
                }
                2 => keep(simd, &sums, u),
                3 => keep(simd, &sums, u3),
                4 => {
                    finish(simd, block, &sums, &tile.odd, left);
                    sums = [load_vectors(simd, block.biases[1]); PAIRS];
                }
                5 => {
                    finish(simd, block, &plus_kept(simd, sums, u3), &tile.odd, right);
                    sums = plus_kept(simd, sums, u);
                }
                _ => finish(simd, block, &sums, &tile.even, right),
            }
        }
    }
}

/// # Safety
/// As [`fixed`].
#[inline(always)]
unsafe fn add_product<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    tile: &Tile<'_, PAIRS>,
    index: usize,
    sums: &mut Sums<S, PAIRS, VECTORS>,
) {
    let Tile { block, pair, .. } = *tile;
    let (input, stride) = block.inputs[index];
    let weights = index * block.depth * VECTORS * S::LANES;
    // SAFETY: the caller guarantees that this memory is valid.
    unsafe {
        let product = Product {
            input: (input.add(pair * stride), stride),
            weights: block.weights.add(weights),
            length: block.depth,
            ahead: tile.ahead.map(|walk| walk.after(index * block.depth)),
        };
        product.add_to(simd, sums);
    }
}

/// Stores sums, one pixel after the other.
///
/// # Safety
/// There must be room for the sums at `to`.
#[inline(always)]
unsafe fn keep<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    sums: &Sums<S, PAIRS, VECTORS>,
    to: *mut f32,
) {
    for (i, sums) in sums.iter().enumerate() {
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller guarantees that this memory is valid.
            unsafe { simd.store(to.add((i * VECTORS + j) * S::LANES), sum) }
        }
    }
}

/// Loads the sums that [`keep`] stored.
///
/// # Safety
/// The sums must be readable at `from`.
#[inline(always)]
unsafe fn kept<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    from: *const f32,
) -> Sums<S, PAIRS, VECTORS> {
    let mut sums = [[simd.splat(0.0); VECTORS]; PAIRS];
    for (i, sums) in sums.iter_mut().enumerate() {
        for (j, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller guarantees that this memory is valid.
            *sum = unsafe { simd.load(from.add((i * VECTORS + j) * S::LANES)) };
        }
    }
    sums
}

/// Adds the sums that [`keep`] stored.
///
/// # Safety
/// As [`kept`].
#[inline(always)]
unsafe fn plus_kept<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    mut sums: Sums<S, PAIRS, VECTORS>,
    from: *const f32,
) -> Sums<S, PAIRS, VECTORS> {
    for (i, sums) in sums.iter_mut().enumerate() {
        for (j, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller guarantees that this memory is valid.
            let kept = unsafe { simd.load(from.add((i * VECTORS + j) * S::LANES)) };
            *sum = simd.add(*sum, kept);
        }
    }
    sums
}

/// Applies the activation to finished sums and writes them to their pixels, from a channel on.
///
/// # Safety
/// The pixels must be writable and used by no other thread.
#[inline(always)]
unsafe fn finish<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    block: &Block,
    sums: &Sums<S, PAIRS, VECTORS>,
    pixels: &[*mut f32; PAIRS],
    channel: usize,
) {
    let (low, high) = (simd.splat(block.bounds.0), simd.splat(block.bounds.1));
    for (sums, &pixel) in sums.iter().zip(pixels) {
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller guarantees that this memory is valid.
            unsafe {
                let output = pixel.add(channel + j * S::LANES);
                simd.store(output, simd.clamp(sum, low, high));
            }
        }
    }
}
