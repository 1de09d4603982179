//! The vector operations that kernels are written over, one file an instruction set.
//!
//! A kernel is written once, generic over `Simd`, and entered through `Simd::vectorize`, which
//! compiles it for the instruction set. The set is chosen once at run time ([`Isa::best`]);
//! `MOBILENET_ISA=scalar|avx2|avx512|neon` forces one.
//!
//! Why not the `pulp` crate: its vectors have one width per set and no prefetch, broadcast from
//! memory or tile sizes of our choice, and those decide the speed here.

use half::{bf16, f16};

mod isa;
mod memory;
mod micro;
mod threads;

pub(crate) use isa::dispatch;
pub use isa::{Isa, IsaError, measure_peak};
pub use memory::AlignedBuffer;
pub(crate) use memory::SharedBuffer;
pub use micro::weight::WeightType;
pub(crate) use micro::{
    depthwise, depthwise_weight_gradient, normalization, outer, pool, strassen, tile, weight,
};
pub(crate) use threads::team;

/// Vectors of output channels in a full panel of the matrix product of an instruction set.
pub(crate) fn panel_vectors(isa: Isa) -> usize {
    struct Panel;
    impl Kernel for Panel {
        type Output = usize;

        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> usize {
            S::PANEL
        }
    }
    dispatch(isa, Panel)
}

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

    /// Runs a kernel compiled for the instruction set, once whatever number of places call it: a
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
