//! Depthwise convolution of one output row. A group of neighbouring output columns by one vector of
//! channels is computed at a time, one row of taps after the other, with all sums in registers.
//!
//! An input row has zeros on both sides where the window needs them, and a row outside the map is a
//! row of zeros. So there are no edges to handle here.

use crate::simd::opaque::opaque;
use crate::simd::{Kernel, Simd};

/// Output columns that are computed at once: enough independent sums to cover the latency of the
/// multiply-add, but few enough that they and the weights of a row of taps stay in 16 registers.
const COLUMNS: usize = if cfg!(target_arch = "wasm32") { 4 } else { 7 };

/// Values in a cache line. A vector may be shorter.
const LINE: usize = 16;

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
        let row = self.0;
        let dense = row.taps == 3 && row.tap_stride == row.pixel;
        // SAFETY: only `row` makes a `Call`, and its caller guarantees that all this memory is
        // valid.
        unsafe {
            match *row.rows {
                [a, b, c] if dense && row.column_stride == row.pixel => {
                    groups(simd, row, Dense::<1>([a, b, c]));
                }
                [a, b, c] if dense && row.column_stride == 2 * row.pixel => {
                    groups(simd, row, Dense::<2>([a, b, c]));
                }
                _ => groups(simd, row, Any),
            }
        }
    }
}

/// # Safety
/// As [`row`].
#[inline(always)]
unsafe fn groups<S: Simd>(simd: S, row: &Row<'_>, window: impl Window) {
    let (full, rest) = (row.columns / COLUMNS, row.columns % COLUMNS);
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        for group in 0..full {
            columns::<S, COLUMNS>(simd, row, window, group * COLUMNS);
        }
        macro_rules! rest {
            ($($columns:literal)*) => {
                match rest {
                    $($columns => columns::<S, $columns>(simd, row, window, full * COLUMNS),)*
                    _ => {}
                }
            };
        }
        rest!(1 2 3 4 5 6);
    }
}

/// # Safety
/// As [`row`].
// On wasm32, as `tile::tiles`.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
unsafe fn columns<S: Simd, const COLUMNS: usize>(
    simd: S,
    row: &Row<'_>,
    window: impl Window,
    first: usize,
) {
    let (low, high) = (simd.splat(row.bounds.0), simd.splat(row.bounds.1));
    let taps = window.taps(row);
    let start = first * row.column_stride;
    let output = row.output.wrapping_add(first * row.output_stride);
    for channel in (0..row.vectors).map(|vector| vector * S::LANES) {
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            // Before the sums: LLVM would move multiply-adds behind the branch, and spill.
            if channel % LINE == 0 {
                for &ahead in row.ahead {
                    let mut pixels = Pixels::new(ahead.wrapping_add(start + channel), row.pixel);
                    for _ in 0..COLUMNS * window.stride(row) {
                        simd.prefetch_near(pixels.next());
                    }
                }
            }
            let weights = row.weights.add(channel * (taps + 1));
            let bias = simd.load(weights.add(taps * S::LANES));
            let sums: [_; COLUMNS] = window.sums(simd, row, start + channel, weights, bias);
            let output = output.wrapping_add(channel);
            let mut pixels = Pixels::new(output, row.output_stride);
            for sum in sums {
                simd.store(pixels.next().cast_mut(), simd.clamp(sum, low, high));
            }
        }
    }
}

/// The window of an output column.
trait Window: Copy {
    /// Number of taps.
    fn taps(self, row: &Row<'_>) -> usize;

    /// Pixels from an output column's window to the next one's.
    fn stride(self, row: &Row<'_>) -> usize;

    /// The sums of `COLUMNS` output columns for one vector of channels. `start` is the offset of
    /// the first one's first tap in each row of taps.
    ///
    /// # Safety
    /// As [`row`].
    unsafe fn sums<S: Simd, const COLUMNS: usize>(
        self,
        simd: S,
        row: &Row<'_>,
        start: usize,
        weights: *const f32,
        bias: S::Vector,
    ) -> [S::Vector; COLUMNS];
}

/// 3x3 taps without dilation, at stride 1 or 2. Every input value is loaded once per row of taps.
#[derive(Clone, Copy)]
struct Dense<const STRIDE: usize>([*const f32; 3]);

impl<const STRIDE: usize> Window for Dense<STRIDE> {
    #[inline(always)]
    fn taps(self, _: &Row<'_>) -> usize {
        9
    }

    #[inline(always)]
    fn stride(self, _: &Row<'_>) -> usize {
        STRIDE
    }

    #[inline(always)]
    unsafe fn sums<S: Simd, const COLUMNS: usize>(
        self,
        simd: S,
        row: &Row<'_>,
        start: usize,
        weights: *const f32,
        bias: S::Vector,
    ) -> [S::Vector; COLUMNS] {
        let mut sums = [bias; COLUMNS];
        for (ky, input) in self.0.into_iter().enumerate() {
            // A row of taps after the other: LLVM would load all rows first, and spill them.
            let pixel = opaque(row.pixel);
            // SAFETY: the caller guarantees that all this memory is valid.
            unsafe {
                let weight = |kx: usize| simd.load(weights.add((3 * ky + kx) * S::LANES));
                let w = [weight(0), weight(1), weight(2)];
                let mut pixels = Pixels::of_opaque(input.wrapping_add(start), pixel);
                let mut load = || simd.load(pixels.next());
                let (mut left, mut middle) = (load(), load());
                for (x, sum) in sums.iter_mut().enumerate() {
                    if STRIDE == 2 && x > 0 {
                        middle = load();
                    }
                    let right = load();
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
}

/// Any kernel size, stride and dilation.
#[derive(Clone, Copy)]
struct Any;

impl Window for Any {
    #[inline(always)]
    fn taps(self, row: &Row<'_>) -> usize {
        row.rows.len() * row.taps
    }

    #[inline(always)]
    fn stride(self, row: &Row<'_>) -> usize {
        row.column_stride / row.pixel
    }

    #[inline(always)]
    unsafe fn sums<S: Simd, const COLUMNS: usize>(
        self,
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
                    let mut pixels = Pixels::of_opaque(input, stride);
                    for sum in &mut sums {
                        *sum = simd.mul_add(simd.load(pixels.next()), w, *sum);
                    }
                }
            }
        }
        sums
    }
}

/// Pixels at equal distances. Four share a base, because an address of x86 can add 1 or 2 times
/// another register: so few registers hold all addresses.
struct Pixels {
    base: *const f32,
    stride: usize,
    index: usize,
}

impl Pixels {
    #[inline(always)]
    fn new(base: *const f32, stride: usize) -> Self {
        Self::of_opaque(base, opaque(stride))
    }

    /// `stride` is [`opaque`].
    #[inline(always)]
    fn of_opaque(base: *const f32, stride: usize) -> Self {
        Self {
            base,
            stride,
            index: 0,
        }
    }

    /// Where the next pixel is.
    #[inline(always)]
    fn next(&mut self) -> *const f32 {
        if self.index == 4 {
            self.index = 0;
            self.base = self.base.wrapping_add(4 * self.stride);
        }
        let at = self.base.wrapping_add(self.index * self.stride);
        self.index += 1;
        at
    }
}
