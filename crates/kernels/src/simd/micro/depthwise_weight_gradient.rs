//! The gradient of depthwise weights: for every tap and channel, the sum over pixels of input times
//! gradient. The sums of 9 taps by one vector of channels are kept in registers.

use crate::simd::Simd;

/// Taps that are summed at once.
const MOST: usize = 9;

/// A range of output rows of one image.
pub(crate) struct WeightGradient {
    /// Gradient of output row 0, column 0.
    pub(crate) gradient: *const f32,
    /// Values from one row to the next, and from one pixel to the next.
    pub(crate) gradient_row: usize,
    pub(crate) gradient_pixel: usize,
    /// Input under tap (0, 0) of output row 0, column 0. There are zeros around the input.
    pub(crate) input: *const f32,
    /// Values from one output row to the next, and from one output column to the next.
    pub(crate) input_row: usize,
    pub(crate) input_column: usize,
    /// Values from one tap to the next, downwards and to the right.
    pub(crate) tap_row: usize,
    pub(crate) tap_column: usize,
    /// Rows and columns of taps.
    pub(crate) kernel: [usize; 2],
    /// Output rows and columns.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) vectors: usize,
    /// `[vectors][taps][LANES]`; the new sums are added to it.
    pub(crate) sums: *mut f32,
}

/// # Safety
/// All memory that the sizes and strides describe must be readable. The sums must be writable and
/// used by no other thread.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(simd: S, taps: &WeightGradient) {
    let count = taps.kernel[0] * taps.kernel[1];
    for vector in 0..taps.vectors {
        let mut first = 0;
        while first < count {
            let size = (count - first).min(MOST);
            // SAFETY: the caller guarantees that all this memory is valid; `first + size` is at
            // most `count`.
            unsafe {
                if size == MOST {
                    fixed::<S, MOST>(simd, taps, vector, first, count);
                    first += MOST;
                } else {
                    fixed::<S, 1>(simd, taps, vector, first, count);
                    first += 1;
                }
            }
        }
    }
}

/// # Safety
/// As [`run`]; taps `first` to `first + TAPS` must exist.
#[inline(always)]
unsafe fn fixed<S: Simd, const TAPS: usize>(
    simd: S,
    taps: &WeightGradient,
    vector: usize,
    first: usize,
    count: usize,
) {
    let channel = vector * S::LANES;
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let starts: [*const f32; TAPS] = std::array::from_fn(|t| {
            let (ky, kx) = ((first + t) / taps.kernel[1], (first + t) % taps.kernel[1]);
            taps.input
                .add(ky * taps.tap_row + kx * taps.tap_column + channel)
        });
        let mut sums = [simd.splat(0.0); TAPS];
        for y in 0..taps.rows {
            let mut gradient = taps.gradient.add(y * taps.gradient_row + channel);
            let mut offset = y * taps.input_row;
            for _ in 0..taps.columns {
                let g = simd.load(gradient);
                for (sum, start) in sums.iter_mut().zip(starts) {
                    *sum = simd.mul_add(simd.load(start.add(offset)), g, *sum);
                }
                gradient = gradient.wrapping_add(taps.gradient_pixel);
                offset += taps.input_column;
            }
        }
        for (t, sum) in sums.into_iter().enumerate() {
            let place = taps.sums.add((vector * count + first + t) * S::LANES);
            simd.store(place, simd.add(simd.load(place), sum));
        }
    }
}
