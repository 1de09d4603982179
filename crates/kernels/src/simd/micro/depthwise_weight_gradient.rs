//! The gradient of depthwise weights: for every tap and channel a sum over pixels of input times
//! gradient, the sums of all taps of a vector of channels in registers.

use crate::simd::Simd;

/// WeightGradient that are summed at once.
const MOST: usize = 9;

/// Some output rows of one image.
pub(crate) struct WeightGradient {
    /// Gradient of output row 0, column 0; from one row, and from one pixel to the next.
    pub(crate) gradient: *const f32,
    pub(crate) gradient_row: usize,
    pub(crate) gradient_pixel: usize,
    /// Input under tap (0, 0) of output row 0, column 0, zeros around it; from one output row, and
    /// from one output column to the next.
    pub(crate) input: *const f32,
    pub(crate) input_row: usize,
    pub(crate) input_column: usize,
    /// From one tap to the next, downwards and to the right.
    pub(crate) tap_row: usize,
    pub(crate) tap_column: usize,
    /// Rows and columns of taps.
    pub(crate) kernel: [usize; 2],
    /// Output rows and columns.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) vectors: usize,
    /// `[vectors][taps][LANES]`; added to.
    pub(crate) sums: *mut f32,
}

/// # Safety
/// All memory that the sizes and strides describe must be readable, the sums writable and nobody
/// else's.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(simd: S, taps: &WeightGradient) {
    let count = taps.kernel[0] * taps.kernel[1];
    for vector in 0..taps.vectors {
        let mut first = 0;
        while first < count {
            let size = (count - first).min(MOST);
            // SAFETY: passed on from the caller.
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
    // SAFETY: the caller vouches for all this memory.
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
