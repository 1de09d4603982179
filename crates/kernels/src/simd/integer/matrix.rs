//! Product of pixels and weights: a pointwise convolution, or another one whose windows were
//! gathered.

use std::mem::MaybeUninit;

use super::rounding::Rounding;
use super::vector::{BLOCK, IntegerSimd, MOST_LANES, rounded};
use crate::simd::addresses::Addresses;
use crate::simd::cursor::Cursor;

/// Pixels times a panel of weights.
pub(crate) struct Panel<'a, S: IntegerSimd> {
    /// The pixels, `[pixels, stride]`. A stride has whole steps. Of the last block, all is readable.
    pub(crate) values: *const S::Value,
    pub(crate) pixels: usize,
    pub(crate) stride: usize,
    /// Weights of the steps, `[steps, vectors, DEPTH * LANES]`: first one step for each `DEPTH`
    /// values of a pixel, then the extra ones.
    pub(crate) weights: *const S::Weight,
    /// First values of the extra steps.
    pub(crate) extra: &'a [u32],
    /// What sums begin with, for whole vectors.
    pub(crate) start: *const i32,
    /// How sums become bytes; `None` stores them as they are, in whole vectors.
    pub(crate) rounding: Option<Rounding<'a>>,
    /// Depth of the unit's instruction that is prepared ([`IntegerSimd::begin_blocks`]).
    pub(crate) blocks: Option<usize>,
    /// First channel, and number of channels.
    pub(crate) first: usize,
    pub(crate) channels: usize,
    /// The first channel of the first pixel's output.
    pub(crate) output: Cursor<u8>,
}

/// Computes a panel of up to `PANEL` vectors.
///
/// # Safety
/// The pointers must be valid for the sizes, and the output's pixels must be the caller's alone.
#[inline(always)]
pub(crate) unsafe fn run<S: IntegerSimd>(simd: S, panel: &Panel<'_, S>) {
    // SAFETY: the caller's guarantee; each arm is for its number of vectors.
    unsafe {
        match panel.channels.div_ceil(S::LANES) {
            1 => pixels::<S, 1>(simd, panel),
            2 if S::PANEL > 1 => pixels::<S, 2>(simd, panel),
            3 if S::PANEL > 2 => pixels::<S, 3>(simd, panel),
            4 if S::PANEL > 3 => pixels::<S, 4>(simd, panel),
            _ => {}
        }
    }
}

/// # Safety
/// As [`run`], and the panel has `V` vectors.
#[inline(always)]
unsafe fn pixels<S: IntegerSimd, const V: usize>(simd: S, panel: &Panel<'_, S>) {
    let mut output = panel.output;
    let mut pixel = 0;
    if let Some(depth) = panel.blocks.filter(|_| V == S::PANEL) {
        // A single pixel takes a block's time in a tile, too.
        while pixel + 1 < panel.pixels {
            // SAFETY: the caller's guarantee; there is that pixel.
            pixel += unsafe { block::<S, V>(simd, panel, depth, pixel, &mut output) };
        }
    }
    // SAFETY: the caller's guarantee; a tile begins at a pixel and has no more than are left.
    unsafe {
        while pixel < panel.pixels {
            let left = panel.pixels - pixel;
            pixel += match left {
                6.. if S::TILE == 6 => tile::<S, 6, V>(simd, panel, pixel, &mut output),
                4.. if S::TILE >= 4 => tile::<S, 4, V>(simd, panel, pixel, &mut output),
                2.. if S::TILE >= 2 => tile::<S, 2, V>(simd, panel, pixel, &mut output),
                _ => tile::<S, 1, V>(simd, panel, pixel, &mut output),
            };
        }
    }
}

/// Computes `P` pixels from `pixel` on; returns `P`.
///
/// # Safety
/// As [`run`]; there are that many pixels and `V` vectors.
#[inline(always)]
unsafe fn tile<S: IntegerSimd, const P: usize, const V: usize>(
    simd: S,
    panel: &Panel<'_, S>,
    pixel: usize,
    output: &mut Cursor<u8>,
) -> usize {
    let step = S::DEPTH * S::LANES;
    // SAFETY: pixels, weights and starts have these sizes.
    unsafe {
        let first = panel.values.add(pixel * panel.stride);
        let mut rows = Addresses::<_, P>::new(first, panel.stride);
        let start: [S::Sums; V] = std::array::from_fn(|v| simd.load(panel.start.add(v * S::LANES)));
        let mut sums = [start; P];
        let mut weights = panel.weights;
        // The end is looked for after each step of a turn, too. In one block of code, the compiler would
        // add the products of several steps to each other first, for which there are not enough
        // registers.
        let mut steps = panel.stride / S::DEPTH;
        'steps: loop {
            for next in 0..S::UNROLLED {
                if steps == 0 {
                    break 'steps;
                }
                let weights = weights.add(next * V * step);
                add_step(simd, &mut sums, &rows, next * S::DEPTH, weights);
                steps -= 1;
            }
            rows.advance(S::UNROLLED * S::DEPTH);
            weights = weights.add(S::UNROLLED * V * step);
        }
        finish(simd, panel, first, sums, output);
    }
    P
}

/// Computes a block of pixels, or as many as are left, from `pixel` on by the unit for blocks. Returns their
/// number.
///
/// # Safety
/// As [`run`]; there are `PANEL` vectors, the unit is prepared, and a block can be read.
#[inline(always)]
unsafe fn block<S: IntegerSimd, const V: usize>(
    simd: S,
    panel: &Panel<'_, S>,
    depth: usize,
    pixel: usize,
    output: &mut Cursor<u8>,
) -> usize {
    /// Pixels whose sums are in registers.
    const SOME: usize = 4;
    const { assert!(V * S::LANES <= MOST_SUMS) }
    let pixels = BLOCK.min(panel.pixels - pixel);
    let mut sums = MaybeUninit::<Sums>::uninit();
    let sums: *mut i32 = sums.as_mut_ptr().cast();
    // SAFETY: pixels, weights and starts have these sizes, and the sums room for a block.
    unsafe {
        let first = panel.values.add(pixel * panel.stride);
        let values = (first, panel.stride);
        simd.block(depth, values, panel.weights, panel.start, sums);
        let at = |pixel: usize| {
            let sums = sums.add(pixel * V * S::LANES);
            let load = move |p: usize, v: usize| simd.load(sums.add((p * V + v) * S::LANES));
            (first.add(pixel * panel.stride), load)
        };
        let whole = pixels - pixels % SOME;
        for pixel in (0..whole).step_by(SOME) {
            let (first, load) = at(pixel);
            let sums: [[S::Sums; V]; SOME] =
                std::array::from_fn(|p| std::array::from_fn(|v| load(p, v)));
            finish(simd, panel, first, sums, output);
        }
        for pixel in whole..pixels {
            let (first, load) = at(pixel);
            let sums: [S::Sums; V] = std::array::from_fn(|v| load(0, v));
            finish(simd, panel, first, [sums], output);
        }
    }
    pixels
}

/// Sums of a pixel, at most.
const MOST_SUMS: usize = 4 * MOST_LANES;

/// Sums of a block.
#[repr(align(64))]
struct Sums {
    _values: [i32; BLOCK * MOST_SUMS],
}

/// Adds the extra steps of pixels, whose values begin at `first`, and rounds and stores the sums.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn finish<S: IntegerSimd, const P: usize, const V: usize>(
    simd: S,
    panel: &Panel<'_, S>,
    first: *const S::Value,
    mut sums: [[S::Sums; V]; P],
    output: &mut Cursor<u8>,
) {
    let step = S::DEPTH * S::LANES;
    // SAFETY: the caller's guarantee.
    unsafe {
        let mut weights = panel.weights.add(panel.stride / S::DEPTH * V * step);
        let rows = Addresses::<_, P>::new(first, panel.stride);
        for &offset in panel.extra {
            add_step(simd, &mut sums, &rows, offset as usize, weights);
            weights = weights.add(V * step);
        }
        #[cfg(not(target_arch = "wasm32"))]
        put(simd, panel, sums.into_iter(), output);
        #[cfg(target_arch = "wasm32")]
        put_called(simd, panel, &sums, output);
    }
}

/// Rounds and stores the sums of pixels.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn put<S: IntegerSimd, const V: usize>(
    simd: S,
    panel: &Panel<'_, S>,
    pixels: impl Iterator<Item = [S::Sums; V]>,
    output: &mut Cursor<u8>,
) {
    let (first, channels) = (panel.first, panel.channels);
    // SAFETY: there are factors for all channels; otherwise the caller's guarantee.
    unsafe {
        match panel.rounding {
            Some(Rounding::F32(scaling)) => {
                for sums in pixels {
                    simd.store_pixel::<V>(output.next(), sums, scaling, [first, channels]);
                }
            }
            Some(Rounding::Exact(exact)) => {
                for sums in pixels {
                    let to = output.next();
                    for (v, sums) in sums.into_iter().enumerate() {
                        let channel = v * S::LANES;
                        let count = (channels - channel).min(S::LANES);
                        let bytes = rounded(simd, sums, exact, [first + channel, count]);
                        simd.store_bytes(to.add(channel), bytes, count);
                    }
                }
            }
            None => {
                for sums in pixels {
                    let to: *mut i32 = output.next().cast();
                    for (v, sums) in sums.into_iter().enumerate() {
                        simd.store(to.add(v * S::LANES), sums);
                    }
                }
            }
        }
    }
}

/// The same, compiled once. Browsers keep all sums of a tile in registers only if what follows the
/// loop is short.
///
/// # Safety
/// As [`tile`].
#[cfg(target_arch = "wasm32")]
#[inline(never)]
unsafe fn put_called<S: IntegerSimd, const V: usize>(
    simd: S,
    panel: &Panel<'_, S>,
    pixels: &[[S::Sums; V]],
    output: &mut Cursor<u8>,
) {
    // SAFETY: the caller's guarantee.
    unsafe { put(simd, panel, pixels.iter().copied(), output) }
}

/// Adds the products of a step to the sums of all pixels.
///
/// # Safety
/// `DEPTH` values must be readable of each of the rows from `offset` on, and the step's weights.
#[inline(always)]
unsafe fn add_step<S: IntegerSimd, const P: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::Sums; V]; P],
    rows: &Addresses<S::Value, P>,
    offset: usize,
    weights: *const S::Weight,
) {
    let step = S::DEPTH * S::LANES;
    // SAFETY: the caller's guarantee.
    unsafe {
        let right: [S::Right; V] = std::array::from_fn(|v| simd.right(weights.add(v * step)));
        for (sums, row) in sums.iter_mut().zip(rows.values()) {
            let left = simd.left(row.add(offset));
            for (sums, right) in sums.iter_mut().zip(right) {
                *sums = simd.dot(*sums, left, right);
            }
        }
    }
}
