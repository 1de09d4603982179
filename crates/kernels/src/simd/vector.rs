//! The two traits that kernels are written with: `Simd`, the vectors of one instruction set, and
//! `Kernel`, work that is compiled for each set.

use half::{bf16, f16};

/// Work that is compiled for every instruction set.
pub(crate) trait Kernel {
    /// Result of the work.
    type Output;

    /// Does the work. This method and all functions that it calls with `S` must be
    /// `#[inline(always)]`: only then are they compiled for the instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// f32 vectors of one instruction set. A value of the type proves that the machine supports the
/// set.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    type Vector: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Pixels in a full tile of the matrix product.
    const TILE: usize;
    /// Vectors of output channels in a full panel of the matrix product.
    const PANEL: usize;
    /// Rows in a block of sums of outer products. Times the vectors of a panel, they give enough
    /// independent sums to cover the latency of the multiply-add. `LANES` is a multiple of this, or rows
    /// of whole vectors are blocks of so many and of two fewer.
    const OUTER_ROWS: usize;

    /// Runs a kernel, compiled for the instruction set. The call is never inlined: a kernel of many
    /// sizes takes tens of kilobytes, and must be compiled once and not for each caller.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output;

    fn splat(self, value: f32) -> Self::Vector;

    /// # Safety
    /// `LANES` values must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::Vector;

    /// Loads half-precision values as f32.
    ///
    /// # Safety
    /// `LANES` values must be readable at `from`.
    unsafe fn load_f16(self, from: *const f16) -> Self::Vector;

    /// Loads bfloat16 values as f32.
    ///
    /// # Safety
    /// `LANES` values must be readable at `from`.
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Vector;

    /// # Safety
    /// `LANES` values must be writable at `to`.
    unsafe fn store(self, to: *mut f32, vector: Self::Vector);

    /// Transposes a square of 4 x 4 values, whose rows are `from_stride` values apart, and multiplies
    /// each row of the square by its scale: value `[i][l]` of the result is `from[l][i] * scales[l]`.
    ///
    /// # Safety
    /// All rows must be readable at `from` and writable at `to`, and 4 values readable at `scales`.
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        scales: *const f32,
        to: *mut f32,
        to_stride: usize,
    );

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a - b`.
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b + c`.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// `v` limited to the range from `low` to `high`; NaN stays NaN.
    fn clamp(self, v: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector;

    /// The largest integer that is not above `v`.
    fn floor(self, v: Self::Vector) -> Self::Vector;

    /// `v` in the lanes where `low < y < high`, 0 in the others. This is the gradient of a clamp.
    fn gate(
        self,
        v: Self::Vector,
        y: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector;

    /// Prefetches the cache line at `at` into L2. Any address is allowed.
    fn prefetch<T>(self, at: *const T);

    /// Prefetches the cache line at `at` into L1. Any address is allowed.
    fn prefetch_near<T>(self, at: *const T);
}
