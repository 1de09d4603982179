//! Micro-kernels of Strassen's scheme: the sums of inputs, and a tile of all its products. See
//! `inference/strassen.rs` for the scheme and its names.

use std::ops::Range;

use super::ahead::Walk;
use super::product::{Product, Sums};
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

/// A tile of pairs of pixels times a pair of full panels ([`Simd::PANEL`] vectors each).
pub(crate) struct PairTile<'a> {
    /// For each product in order: the first pair's input, and the values from a pair to the next.
    pub(crate) inputs: [(*const f32, usize); PRODUCTS],
    /// Half the input channels.
    pub(crate) depth: usize,
    /// `[PRODUCTS][depth][PANEL * LANES]`.
    pub(crate) weights: *const f32,
    /// Initial sums of `P1` and `P5`, `[PANEL * LANES]` each.
    pub(crate) biases: [*const f32; 2],
    pub(crate) bounds: (f32, f32),
    /// Where the panels' first channels are written, without a pixel's offset.
    pub(crate) outputs: [*mut f32; 2],
    /// Offset of the first pixel of each pair in the outputs.
    pub(crate) even: &'a [usize],
    /// Offset of the second pixel of each pair.
    pub(crate) odd: &'a [usize],
    /// Scratch for two sums per output of a panel.
    pub(crate) partial: *mut f32,
    /// What to prefetch meanwhile: weights, and what else is read next.
    pub(crate) ahead: [Walk; 2],
}

/// Computes a tile of 1 to [`Simd::TILE`] pairs.
///
/// # Safety
/// Inputs, weights, biases and `partial` must be as the fields say. At the pairs' offsets, the
/// outputs must be writable and used by no other thread.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd>(simd: S, tile: &PairTile<'_>) {
    simd.vectorize(Call(tile));
}

/// A separate kernel, so that its many sizes are compiled once.
struct Call<'a>(&'a PairTile<'a>);

impl Kernel for Call<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Only the sizes that occur on an instruction set are compiled for it.
        macro_rules! choose {
            ($($vectors:literal: $($pairs:literal)*;)*) => {
                match self.0.even.len() {
                    $($($pairs if const { $vectors == S::PANEL && $pairs <= S::TILE } => {
                        // The number of pairs is known at compile time here. Otherwise the sums
                        // would be in memory.
                        if let (Some(even), Some(odd)) =
                            (self.0.even.first_chunk(), self.0.odd.first_chunk())
                        {
                            // SAFETY: only `tile` makes a `Call`, and its caller guarantees that
                            // all this memory is valid.
                            unsafe { fixed::<S, $pairs, $vectors>(simd, self.0, even, odd) }
                        }
                    })*)*
                    _ => {}
                }
            };
        }
        choose! {
            2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
            4: 1 2 3 4 5 6;
        }
    }
}

/// # Safety
/// As [`tile`], for `PAIRS` and `VECTORS`.
// On wasm32, as `tile::fixed`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn fixed<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    tile: &PairTile<'_>,
    even: &[usize; PAIRS],
    odd: &[usize; PAIRS],
) {
    let u = tile.partial;
    let u3 = u.wrapping_add(PAIRS * VECTORS * S::LANES);
    let [left, right] = tile.outputs;
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let mut sums: Sums<S, PAIRS, VECTORS> = [load_vectors(simd, tile.biases[0]); PAIRS];
        add_product(simd, tile, 0, &mut sums);
        keep(simd, &sums, u);
        add_product(simd, tile, 1, &mut sums);
        finish(simd, tile, &sums, left, even);

        sums = kept(simd, u);
        add_product(simd, tile, 2, &mut sums);
        keep(simd, &sums, u);
        add_product(simd, tile, 3, &mut sums);
        keep(simd, &sums, u3);
        add_product(simd, tile, 4, &mut sums);
        finish(simd, tile, &sums, left, odd);

        sums = [load_vectors(simd, tile.biases[1]); PAIRS];
        add_product(simd, tile, 5, &mut sums);
        finish(simd, tile, &plus_kept(simd, sums, u3), right, odd);
        sums = plus_kept(simd, sums, u);
        add_product(simd, tile, 6, &mut sums);
        finish(simd, tile, &sums, right, even);
    }
}

/// # Safety
/// As [`fixed`].
#[inline(always)]
unsafe fn add_product<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    tile: &PairTile<'_>,
    index: usize,
    sums: &mut Sums<S, PAIRS, VECTORS>,
) {
    let block = tile.depth * VECTORS * S::LANES;
    // SAFETY: the caller guarantees that this memory is valid.
    unsafe {
        let product = Product {
            input: tile.inputs[index],
            weights: tile.weights.add(index * block),
            length: tile.depth,
            ahead: tile.ahead.map(|walk| walk.after(index * tile.depth)),
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

/// Applies the activation to finished sums and writes them to their pixels.
///
/// # Safety
/// The pixels must be writable and used by no other thread.
#[inline(always)]
unsafe fn finish<S: Simd, const PAIRS: usize, const VECTORS: usize>(
    simd: S,
    tile: &PairTile<'_>,
    sums: &Sums<S, PAIRS, VECTORS>,
    output: *mut f32,
    places: &[usize; PAIRS],
) {
    let (low, high) = (simd.splat(tile.bounds.0), simd.splat(tile.bounds.1));
    for (sums, &place) in sums.iter().zip(places) {
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller guarantees that this memory is valid.
            unsafe {
                let output = output.add(place + j * S::LANES);
                simd.store(output, simd.clamp(sum, low, high));
            }
        }
    }
}
