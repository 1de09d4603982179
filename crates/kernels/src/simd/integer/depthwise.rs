//! Depthwise convolution of a row of pixels.

use super::rounding::Rounding;
use super::row::{Row, TapProducts, Target};
use super::vector::{IntegerSimd, rounded, scaled};

impl Row<'_> {
    /// Rounds and stores sums of `count` channels from `channel` on, and moves on behind their pixels.
    ///
    /// # Safety
    /// There must be room for them.
    // A browser's module has it once; elsewhere a function that is called has not its caller's
    // instruction set.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    unsafe fn put<S: IntegerSimd>(
        &self,
        simd: S,
        pixels: &[S::Sums],
        channel: usize,
        count: usize,
        target: &mut Target<S::Value>,
    ) {
        // SAFETY: there are factors for all channels; otherwise the caller's guarantee.
        unsafe {
            match self.rounding {
                Rounding::F32(scaling) => {
                    for sums in pixels {
                        let [bytes] = scaled(simd, [*sums], scaling, channel);
                        target.put(simd, bytes, count);
                    }
                }
                Rounding::Exact(exact) => {
                    for sums in pixels {
                        let bytes = rounded(simd, *sums, exact, [channel, count]);
                        target.put(simd, bytes, count);
                    }
                }
            }
        }
    }
}

impl<V> Target<V> {
    /// Stores the first `count` sums and moves on to the next pixel.
    ///
    /// # Safety
    /// There must be room for them.
    #[inline(always)]
    unsafe fn put<S: IntegerSimd<Value = V>>(&mut self, simd: S, bytes: S::Sums, count: usize) {
        // SAFETY: the caller's guarantee. wrapping: after the last pixel, nobody dereferences.
        unsafe {
            match self {
                Self::Bytes(to, step) => {
                    simd.store_bytes(*to, bytes, count);
                    *to = to.wrapping_add(*step);
                }
                Self::Values(to, step) => {
                    simd.store_values(*to, bytes, count);
                    *to = to.wrapping_add(*step);
                }
            }
        }
    }
}

/// # Safety
/// The pointers must be valid for the sizes, input windows also for a whole vector from any channel
/// on and for a pixel to their right, and the output must be the caller's alone.
#[inline(always)]
pub(crate) unsafe fn run<S: IntegerSimd>(simd: S, row: &Row<'_>, target: Target<S::Value>) {
    // SAFETY: the caller's guarantee.
    unsafe {
        if simd.depthwise_quads(row, target) {
            return;
        }
        match (row.products, row.square, row.step / row.pixel) {
            (TapProducts::Columns, Some(line), 1) => columns::<S, 1>(simd, row, line, target),
            (TapProducts::Columns, Some(line), _) => columns::<S, 2>(simd, row, line, target),
            (TapProducts::Pairs, Some(line), 1) => square::<S, 1>(simd, row, line, target),
            (TapProducts::Pairs, Some(line), 2) => square::<S, 2>(simd, row, line, target),
            _ => any(simd, row, target),
        }
    }
}

/// Any window.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn any<S: IntegerSimd>(simd: S, row: &Row<'_>, target: Target<S::Value>) {
    for vector in 0..row.channels.div_ceil(S::LANES) {
        let channel = vector * S::LANES;
        let count = (row.channels - channel).min(S::LANES);
        let mut target = target.from(channel);
        // SAFETY: the caller's guarantee.
        unsafe {
            let start = simd.load(row.start.add(channel));
            let weights = row.weights.cast::<i16>();
            let weights = weights.add(2 * channel * row.taps.len());
            for pixel in 0..row.pixels {
                let window = row.input.add(pixel * row.step + channel);
                let mut sums = start;
                for (pair, [a, b]) in row.taps.iter().enumerate() {
                    let weights = simd.pairs_of_weights(weights.add(2 * S::LANES * pair));
                    let bytes = simd.pairs(window.add(*a), window.add(*b));
                    sums = simd.dot_pairs(sums, bytes, weights);
                }
                row.put(simd, &[sums], channel, count, &mut target);
            }
        }
    }
}

/// A window of 3 x 3 without dilation, whose rows are `line` bytes apart. Pairs of bytes are kept
/// from one pixel to the next.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn square<S: IntegerSimd, const STRIDE: usize>(
    simd: S,
    row: &Row<'_>,
    line: usize,
    target: Target<S::Value>,
) {
    for vector in 0..row.channels.div_ceil(S::LANES) {
        let channel = vector * S::LANES;
        let count = (row.channels - channel).min(S::LANES);
        let mut target = target.from(channel);
        // SAFETY: the caller's guarantee.
        unsafe {
            let start = simd.load(row.start.add(channel));
            let weights = row.weights.cast::<i16>().add(2 * channel * PAIRS);
            let weights: [S::Pairs; PAIRS] =
                std::array::from_fn(|i| simd.pairs_of_weights(weights.add(2 * S::LANES * i)));
            let mut window = row.input.add(channel);
            let upper = |at: *const u8| simd.pairs(at, at.add(line));
            let lower = |at: *const u8| simd.pairs(at.add(2 * line), at.add(2 * line + row.pixel));
            let mut upper_0 = upper(window);
            let mut upper_1 = upper(window.add(row.pixel));
            let mut lower_0 = lower(window);
            let mut lower_1 = lower(window.add(row.pixel));
            let mut block = [start; BLOCK];
            let mut left = row.pixels;
            while left > 0 {
                let block = &mut block[..left.min(BLOCK)];
                left -= block.len();
                for sums in &mut *block {
                    if STRIDE == 2 {
                        upper_1 = upper(window.add(row.pixel));
                    }
                    let third = window.add(2 * row.pixel);
                    let (upper_2, lower_2) = (upper(third), lower(third));
                    *sums = simd.dot_pairs(start, upper_0, weights[0]);
                    *sums = simd.dot_pairs(*sums, upper_1, weights[1]);
                    *sums = simd.dot_pairs(*sums, upper_2, weights[2]);
                    *sums = simd.dot_pairs(*sums, lower_0, weights[3]);
                    *sums = simd.dot_pairs(*sums, lower_2, weights[4]);
                    if STRIDE == 1 {
                        (upper_0, upper_1) = (upper_1, upper_2);
                        (lower_0, lower_1) = (lower_1, lower_2);
                    } else {
                        (upper_0, lower_0) = (upper_2, lower_2);
                    }
                    window = window.wrapping_add(row.step);
                }
                row.put(simd, block, channel, count, &mut target);
            }
        }
    }
}

/// The same by columns, each of which is a step of bytes. They are kept from one pixel to the next.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn columns<S: IntegerSimd, const STRIDE: usize>(
    simd: S,
    row: &Row<'_>,
    line: usize,
    target: Target<S::Value>,
) {
    let step = S::DEPTH * S::LANES;
    for vector in 0..row.channels.div_ceil(S::LANES) {
        let channel = vector * S::LANES;
        let count = (row.channels - channel).min(S::LANES);
        let mut target = target.from(channel);
        // SAFETY: the caller's guarantee; where columns are steps, weights are bytes.
        unsafe {
            let start = simd.load(row.start.add(channel));
            let weights = row.weights.cast::<S::Weight>().add(3 * step * vector);
            let weights: [S::Right; 3] = std::array::from_fn(|i| simd.right(weights.add(step * i)));
            let mut window = row.input.add(channel);
            let column = |at: *const u8| simd.column([at, at.add(line), at.add(2 * line)]);
            let (Some(mut left), Some(mut middle)) =
                (column(window), column(window.add(row.pixel)))
            else {
                return;
            };
            let mut block = [start; BLOCK];
            let mut rest = row.pixels;
            while rest > 0 {
                let block = &mut block[..rest.min(BLOCK)];
                rest -= block.len();
                for sums in &mut *block {
                    if STRIDE == 2 {
                        middle = column(window.add(row.pixel)).unwrap_or(middle);
                    }
                    let right = column(window.add(2 * row.pixel)).unwrap_or(middle);
                    *sums = simd.dot(start, left, weights[0]);
                    *sums = simd.dot(*sums, middle, weights[1]);
                    *sums = simd.dot(*sums, right, weights[2]);
                    left = if STRIDE == 1 { middle } else { right };
                    middle = right;
                    window = window.wrapping_add(row.step);
                }
                row.put(simd, block, channel, count, &mut target);
            }
        }
    }
}

/// Pairs of taps in a window of 3 x 3.
const PAIRS: usize = 5;

/// Pixels whose sums are computed before the first of them is rounded: the loop over them keeps the
/// weights in registers, which rounding needs, too.
const BLOCK: usize = 16;
