//! Offsets into the arena, and sizes in vectors.

use crate::panels::PanelLayout;
use crate::simd::integer::Products;
use crate::simd::{self, IntegerIsa, Isa};

/// Sizes that depend on the instruction set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors {
    /// Values in a vector.
    pub(super) lanes: usize,
    /// Vectors in a panel of a matrix product.
    pub(super) panel: usize,
    /// Products of bytes, where they are faster.
    pub(super) bytes: Option<Products>,
}

impl Vectors {
    pub(super) fn of(isa: Isa) -> Self {
        Self {
            lanes: isa.lanes(),
            panel: simd::panel_vectors(isa),
            bytes: IntegerIsa::from(isa).fast_products(),
        }
    }

    pub(super) fn count(&self, channels: usize) -> usize {
        channels.div_ceil(self.lanes)
    }

    /// Number of channels, including the zeros that fill up the last vector.
    pub(super) fn width(&self, channels: usize) -> usize {
        self.count(channels) * self.lanes
    }

    /// Layout of a matrix in panels of the instruction set.
    pub(super) fn panels(&self, columns: usize, depth: usize) -> PanelLayout {
        PanelLayout::new(columns, depth, self.lanes, self.panel)
    }
}

/// Assigns ranges of the arena, one after the other, each from a cache line on.
#[derive(Default)]
pub(super) struct Offsets(usize);

impl Offsets {
    pub(super) fn take(&mut self, values: usize) -> usize {
        let offset = self.0;
        self.0 += values.next_multiple_of(16);
        offset
    }

    /// Number of values that are assigned so far.
    pub(super) fn end(&self) -> usize {
        self.0
    }
}

/// One range per thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct PerThread {
    start: usize,
    stride: usize,
}

impl PerThread {
    pub(super) fn take(offsets: &mut Offsets, threads: usize, values: usize) -> Self {
        let stride = values.next_multiple_of(16);
        Self {
            start: offsets.take(threads * stride),
            stride,
        }
    }

    /// The offset of a thread's range.
    #[inline(always)]
    pub(super) fn of(&self, thread: usize) -> usize {
        self.start + thread * self.stride
    }
}

/// Most sums, 512 KiB, of which each thread has its own copy. Larger ones would not stay in its L2
/// cache from block to block.
const LARGEST_OWN_SUMS: usize = 1 << 17;

/// Whether threads divide sums by panels of columns, and each reads all pixels. Otherwise they divide
/// them by pixels, and each has its own sums.
pub(super) fn splits_panels(sums: &PanelLayout, threads: usize) -> bool {
    threads > 1 && sums.len() > LARGEST_OWN_SUMS && sums.count() >= threads
}

/// Ranges that all layers use, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedBuffers {
    /// Two buffers of gradients. Layer `i` reads number `i % 2` and writes the other one.
    pub(super) gradients: [usize; 2],
    /// A row of zeros.
    pub(super) zeros: usize,
    /// A vector that holds the number of pixels, and two rows of sums; with ranges, two rows of
    /// extremes.
    pub(super) partials: PerThread,
    /// Sums of weight gradients: a copy per thread, or one copy whose panels the threads divide.
    pub(super) weight_sums: PerThread,
    pub(super) scratch: PerThread,
    /// The packed weights of the layer that is computed.
    pub(super) packed: usize,
    /// Means and deviations of a layer's input, its covariance, and what its gradient gets at every
    /// pixel.
    pub(super) input_means: PerThread,
    pub(super) covariance: usize,
    pub(super) input_bias: usize,
}
