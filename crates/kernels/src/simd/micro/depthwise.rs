//! Depthwise convolution of one output row. A group of neighbouring output columns by one vector of
//! channels is computed at a time, one row of taps after the other, with all sums in registers.
//!
//! An input row has zeros on both sides where the window needs them, and a row outside the map is a
//! row of zeros. So there are no edges to handle here.

use crate::simd::{Kernel, Simd};

/// Output columns that are computed at once: enough independent sums to cover the latency of the
/// multiply-add, but few enough that they and the weights of a row of taps stay in 16 registers.
const COLUMNS: usize = if cfg!(target_arch = "wasm32") { 4 } else { 7 };

/// One output row.
pub(crate) struct Row<'a> {
    /// For each row of taps, the input under the first tap of output column 0.
    pub(crate) rows: &'a [*const f32],
    /// The input rows that the next output row reads first. They are prefetched meanwhile.
    pub(crate) ahead: &'a [*const f32],
    /// Values from an input pixel to the next.
    pub(crate) pixel: usize,
    /// Taps in a row.
    pub(crate) taps: usize,
    /// Values from a tap to the next: dilation times the pixel stride.
    pub(crate) tap_stride: usize,
    /// Values from an output column's window to the next one's: stride times the pixel stride.
    pub(crate) column_stride: usize,
    /// For each vector of channels: every tap's vector, then the bias.
    pub(crate) weights: *const f32,
    /// Vectors of channels.
    pub(crate) vectors: usize,
    /// Output columns.
    pub(crate) columns: usize,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Where to write output column 0.
    pub(crate) output: *mut f32,
    /// Values from an output column to the next.
    pub(crate) output_stride: usize,
}

/// Computes a row.
///
/// # Safety
/// All memory that the sizes and strides describe must be readable. The output must be writable and
/// used by no other thread.
#[inline(always)]
pub(crate) unsafe fn row<S: Simd>(simd: S, row: &Row<'_>) {
    simd.vectorize(Call(row));
}

/// A separate kernel, so that its many sizes are compiled once and not at each use.
struct Call<'a>(&'a Row<'a>);

impl Kernel for Call<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (full, rest) = (self.0.columns / COLUMNS, self.0.columns % COLUMNS);
        for group in 0..full {
            // SAFETY: only `row` makes a `Call`, and its caller guarantees that all this memory is
            // valid.
            unsafe { columns::<S, COLUMNS>(simd, self.0, group * COLUMNS) }
        }
        macro_rules! rest {
            ($($columns:literal)*) => {
                match rest {
                    $($columns => {
                        // SAFETY: as for the full groups.
                        unsafe { columns::<S, $columns>(simd, self.0, full * COLUMNS) }
                    })*
                    _ => {}
                }
            };
        }
        rest!(1 2 3 4 5 6);
    }
}

/// # Safety
/// As [`row`].
// On wasm32, as `tile::fixed`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn columns<S: Simd, const COLUMNS: usize>(simd: S, row: &Row<'_>, first: usize) {
    let dense = row.taps == 3 && row.tap_stride == row.pixel;
    let (low, high) = (simd.splat(row.bounds.0), simd.splat(row.bounds.1));
    let taps = row.rows.len() * row.taps;
    for vector in 0..row.vectors {
        let channel = vector * S::LANES;
        let start = first * row.column_stride + channel;
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            let weights = row.weights.add(channel * (taps + 1));
            let bias = simd.load(weights.add(taps * S::LANES));
            let sums: [S::Vector; COLUMNS] = match *row.rows {
                [a, b, c] if dense && row.column_stride == row.pixel => {
                    window::<S, COLUMNS, 1>(simd, row, [a, b, c], start, weights, bias)
                }
                [a, b, c] if dense && row.column_stride == 2 * row.pixel => {
                    window::<S, COLUMNS, 2>(simd, row, [a, b, c], start, weights, bias)
                }
                _ => any_window(simd, row, start, weights, bias),
            };
            for &ahead in row.ahead {
                for x in 0..COLUMNS * row.column_stride / row.pixel {
                    simd.prefetch_near(ahead.wrapping_add(start + x * row.pixel));
                }
            }
            let stride = opaque(row.output_stride);
            let output = row.output.add(first * stride + channel);
            for (x, &sum) in sums.iter().enumerate() {
                simd.store(output.add(x * stride), simd.clamp(sum, low, high));
            }
        }
    }
}

/// 3x3 taps without dilation, at stride 1 or 2. Every input value is loaded once per row of taps.
///
/// # Safety
/// As [`row`].
#[inline(always)]
unsafe fn window<S: Simd, const COLUMNS: usize, const STRIDE: usize>(
    simd: S,
    row: &Row<'_>,
    rows: [*const f32; 3],
    start: usize,
    weights: *const f32,
    bias: S::Vector,
) -> [S::Vector; COLUMNS] {
    let pixel = opaque(row.pixel);
    let mut sums = [bias; COLUMNS];
    for (ky, input) in rows.into_iter().enumerate() {
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            let input = input.add(start);
            let load = |column: usize| simd.load(input.add(column * pixel));
            let weight = |kx: usize| simd.load(weights.add((3 * ky + kx) * S::LANES));
            let w = [weight(0), weight(1), weight(2)];
            let (mut left, mut middle) = (load(0), load(1));
            for (x, sum) in sums.iter_mut().enumerate() {
                if STRIDE == 2 && x > 0 {
                    middle = load(2 * x + 1);
                }
                let right = load(STRIDE * x + 2);
                *sum = simd.mul_add(left, w[0], *sum);
                *sum = simd.mul_add(middle, w[1], *sum);
                *sum = simd.mul_add(right, w[2], *sum);
                left = if STRIDE == 1 { middle } else { right };
                middle = right;
            }
        }
    }
    sums
}

/// Any kernel size, stride and dilation.
///
/// # Safety
/// As [`row`].
#[inline(always)]
unsafe fn any_window<S: Simd, const COLUMNS: usize>(
    simd: S,
    row: &Row<'_>,
    start: usize,
    weights: *const f32,
    bias: S::Vector,
) -> [S::Vector; COLUMNS] {
    let stride = opaque(row.column_stride);
    let mut sums = [bias; COLUMNS];
    for (ky, &input) in row.rows.iter().enumerate() {
        for kx in 0..row.taps {
            // SAFETY: the caller guarantees that all this memory is valid.
            unsafe {
                let w = simd.load(weights.add((ky * row.taps + kx) * S::LANES));
                let input = input.add(start + kx * row.tap_stride);
                for (x, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.mul_add(simd.load(input.add(x * stride)), w, *sum);
                }
            }
        }
    }
    sums
}

/// Hides a stride from LLVM. Otherwise it would hoist the stride's multiples out of the loop over
/// vectors and spill them, which halves the speed. On wasm32, it would go through memory.
#[inline(always)]
fn opaque(stride: usize) -> usize {
    if cfg!(target_arch = "wasm32") {
        return stride;
    }
    std::hint::black_box(stride)
}
