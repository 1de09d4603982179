//! The vector operations that kernels are written over, one file an instruction set.
//!
//! A kernel is written once, generic over `Simd`, and entered through `Simd::vectorize`, which
//! compiles it for the instruction set. The set is chosen once at run time ([`Isa::best`]);
//! `MOBILENET_ISA=scalar|avx2|avx512|neon` forces one.
//!
//! Why not the `pulp` crate: its vectors have one width per set and no prefetch, broadcast from
//! memory or tile sizes of our choice, and those decide the speed here.

mod isa;
mod memory;
mod micro;
mod threads;
mod vector;

pub use isa::{Isa, IsaError, measure_peak};
pub(crate) use isa::{dispatch, panel_vectors};
pub use memory::AlignedBuffer;
pub(crate) use memory::SharedBuffer;
pub use micro::weight::WeightType;
pub(crate) use micro::{
    depthwise, depthwise_weight_gradient, elementwise, normalization, outer, pool, strassen, tile,
    weight,
};
pub(crate) use threads::team;
pub(crate) use vector::{Kernel, Simd};
