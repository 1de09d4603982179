//! The arithmetic of one layer, in blocks of pixels and bands of rows. Single kernels schedule it
//! on plain slices and rayon's threads, training on its arena and team.
//!
//! The schedules differ in where rows come from (see [`Rows`]): they are copied, normalised from
//! the layer before, or a gradient that is taken back through a normalisation. A block of rows is
//! kept in scratch memory, in whole vectors and with zeros where a window reaches beyond the map.
//! So the kernels of `simd` need not handle edges.

pub(crate) mod depthwise;
pub(crate) mod matrix;
mod phase;
pub(crate) mod rows;
pub(crate) mod slices;

pub(crate) use rows::{Rows, Target};

/// Values between the pixels of scratch beyond their channels. Without them, strides that are
/// powers of two would put neighbouring pixels into the same sets of the cache.
pub(crate) const fn gap(width: usize) -> usize {
    if width >= 128 { 16 } else { 0 }
}

/// Values of scratch that stay in the L2 cache together with weights: 512 KiB, half of 1 MiB.
pub(crate) const SCRATCH: usize = 1 << 17;
