//! Vector operations that the kernels are written with, in one file per instruction set.
//!
//! A kernel is written once, generic over `Simd`. `Simd::vectorize` compiles it for the instruction
//! set and runs it. The set is chosen once at run time ([`Isa::best`]);
//! `MOBILENET_ISA=scalar|avx2|avx512|neon|wasm128` forces one.
//!
//! The `pulp` crate is not used: it has one vector width per set, no prefetch, no broadcast from
//! memory and no tile sizes of our choice, and those decide the speed here.

mod addresses;
pub(crate) mod cursor;
pub(crate) mod integer;
mod isa;
mod memory;
mod micro;
mod opaque;
mod threads;
mod vector;

pub use integer::IntegerIsa;
pub use isa::{Isa, IsaError, measure_bandwidth, measure_peak};
pub(crate) use isa::{WASM_SIMD, dispatch, is_forced, panel_vectors, processor};
pub use memory::AlignedBuffer;
pub(crate) use memory::SharedBuffer;
pub use micro::weight::WeightType;
pub(crate) use micro::{ahead, depthwise, pool, strassen, tile, transpose, weight};
#[cfg(feature = "training")]
pub(crate) use micro::{
    depthwise_weight_gradient, elementwise, normalization, outer, part, rounding,
};
#[cfg(target_arch = "wasm32")]
pub use threads::lend_thread;
pub(crate) use threads::{on_all_cores, team};
pub(crate) use vector::{Kernel, Simd};
