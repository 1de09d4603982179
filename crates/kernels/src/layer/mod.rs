//! The arithmetic of one layer by blocks of pixels and bands of rows, for whoever schedules them.
//!
//! Single kernels run it on plain slices and rayon's threads, training on its arena and team. They
//! differ in how rows come to be (see [`Rows`]): copied, normalised from the layer before, or a
//! gradient taken back through a normalisation. A block of rows lies in scratch, in whole vectors
//! and with zeros where a window reaches beyond the map, so the kernels of `simd` see no edges.

pub(crate) mod depthwise;
pub(crate) mod matrix;
mod phase;
pub(crate) mod rows;
pub(crate) mod slices;

pub(crate) use rows::{Rows, Target};

/// Values that a row of scratch is longer than its channels: strides that are powers of two put
/// neighbouring pixels into the same sets of the cache.
pub(crate) const fn gap(width: usize) -> usize {
    if width >= 128 { 16 } else { 0 }
}

/// Values of scratch that stay in the L2 cache together with weights: half of 1 MiB.
pub(crate) const SCRATCH: usize = 1 << 17;
