//! What kernels are written over: vectors of one instruction set, and work compiled for each.

use half::{bf16, f16};

/// Work that is compiled for every instruction set.
pub(crate) trait Kernel {
    /// What it gives.
    type Output;

    /// Does the work. Must be `#[inline(always)]`, and so must be all that it calls with `S`:
    /// only then is it compiled for the instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Vectors of f32 of one instruction set. A value of the type proves that the machine has it.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector.
    type Vector: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Pixels of a full tile of the matrix product.
    const TILE: usize;
    /// Vectors of output channels of a full panel of the matrix product.
    const PANEL: usize;
    /// Rows of sums of outer products: enough, with a panel's vectors, to cover the latency of the
    /// multiply-add. They divide `LANES`.
    const OUTER_ROWS: usize;

    /// Runs a kernel compiled for the instruction set, once however many callers it has: a
    /// kernel of many sizes is tens of kilobytes.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output;

    fn splat(self, value: f32) -> Self::Vector;

    /// # Safety
    /// `LANES` values must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::Vector;

    /// Half-precision values as f32.
    ///
    /// # Safety
    /// `LANES` values must be readable at `from`.
    unsafe fn load_f16(self, from: *const f16) -> Self::Vector;

    /// bfloat16 values as f32.
    ///
    /// # Safety
    /// `LANES` values must be readable at `from`.
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Vector;

    /// # Safety
    /// `LANES` values must be writable at `to`.
    unsafe fn store(self, to: *mut f32, vector: Self::Vector);

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b + c`.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// Between `low` and `high`; NaN stays NaN.
    fn clamp(self, v: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector;

    /// `v` in the lanes where `low < y < high`, 0 in the others: the gradient of a clamp.
    fn gate(
        self,
        v: Self::Vector,
        y: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector;

    /// Asks for the cache line at `at` in L2. Any address is allowed.
    fn prefetch<T>(self, at: *const T);

    /// Asks for the cache line at `at` in L1. Any address is allowed.
    fn prefetch_near<T>(self, at: *const T);
}
