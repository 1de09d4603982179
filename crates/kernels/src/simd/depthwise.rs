//! Depthwise convolution of one output row: a group of neighbouring output columns by one vector
//! of channels, all sums in registers, taps outermost.
//!
//! The input row has zeros around it where the window needs them, and a row beyond the map is a
//! row of zeros, so there are no edges here.

use super::Simd;

/// Output columns that are summed at once: enough independent sums to cover the latency of the
/// multiply-add, few enough that they and the weights of a row of taps stay in 16 registers.
const COLUMNS: usize = 7;

/// One output row.
pub(crate) struct Row<'a> {
    /// For each row of taps, the input under the first tap of output column 0.
    pub(crate) rows: &'a [*const f32],
    /// The input rows that the next output row will read first, to be asked for meanwhile.
    pub(crate) ahead: &'a [*const f32],
    /// Values between neighbouring input pixels.
    pub(crate) pixel: usize,
    /// Taps in a row.
    pub(crate) taps: usize,
    /// Values between neighbouring taps: dilation times the pixel stride.
    pub(crate) tap_step: usize,
    /// Values between the windows of neighbouring output columns: stride times the pixel stride.
    pub(crate) column_step: usize,
    /// For each vector of channels: every tap's vector, then the bias.
    pub(crate) weights: *const f32,
    /// Vectors of channels.
    pub(crate) vectors: usize,
    /// Output columns.
    pub(crate) columns: usize,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Output column 0.
    pub(crate) output: *mut f32,
    /// Values between neighbouring output columns.
    pub(crate) output_step: usize,
}

/// Computes a row.
///
/// # Safety
/// All places that the sizes and steps describe must be readable, those of the output writable and
/// nobody else's.
#[inline(always)]
pub(crate) unsafe fn row<S: Simd>(simd: S, row: &Row<'_>) {
    let (full, rest) = (row.columns / COLUMNS, row.columns % COLUMNS);
    for group in 0..full {
        // SAFETY: passed on from the caller.
        unsafe { columns::<S, COLUMNS>(simd, row, group * COLUMNS) }
    }
    macro_rules! rest {
        ($($columns:literal)*) => {
            match rest {
                $($columns => {
                    // SAFETY: passed on from the caller.
                    unsafe { columns::<S, $columns>(simd, row, full * COLUMNS) }
                })*
                _ => {}
            }
        };
    }
    rest!(1 2 3 4 5 6);
}

/// # Safety
/// As [`row`].
#[inline(always)]
unsafe fn columns<S: Simd, const COLUMNS: usize>(simd: S, row: &Row<'_>, first: usize) {
    match (row.rows, row.taps) {
        // SAFETY: passed on from the caller.
        (&[a, b, c], 3) => unsafe { group::<S, COLUMNS>(simd, row, &[a, b, c], 3, first) },
        // SAFETY: passed on from the caller.
        (rows, taps) => unsafe { group::<S, COLUMNS>(simd, row, rows, taps, first) },
    }
}

/// # Safety
/// As [`row`].
#[inline(always)]
unsafe fn group<S: Simd, const COLUMNS: usize>(
    simd: S,
    row: &Row<'_>,
    rows: &[*const f32],
    taps: usize,
    first: usize,
) {
    let count = rows.len() * taps;
    // SAFETY: all places are those that the caller vouches for.
    unsafe {
        let (low, high) = (simd.splat(row.bounds.0), simd.splat(row.bounds.1));
        let start = first * row.column_step;
        for vector in 0..row.vectors {
            let channel = vector * S::LANES;
            let weights = row.weights.add(channel * (count + 1));
            let mut sums = [simd.load(weights.add(count * S::LANES)); COLUMNS];
            for (ky, &input) in rows.iter().enumerate() {
                for kx in 0..taps {
                    let w = simd.load(weights.add((ky * taps + kx) * S::LANES));
                    let input = input.add(start + kx * row.tap_step + channel);
                    for (x, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.mul_add(simd.load(input.add(x * row.column_step)), w, *sum);
                    }
                }
            }
            for &ahead in row.ahead {
                let ahead = ahead.wrapping_add(start + channel);
                for x in 0..COLUMNS * row.column_step / row.pixel {
                    simd.prefetch_near(ahead.wrapping_add(x * row.pixel));
                }
            }
            let output = row.output.add(first * row.output_step + channel);
            for (x, &sum) in sums.iter().enumerate() {
                simd.store(output.add(x * row.output_step), simd.clamp(sum, low, high));
            }
        }
    }
}
