//! Offsets into the one arena, and sizes in vectors.

use crate::panels::PanelLayout;
use crate::simd::{self, Isa};

/// What depends on the instruction set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors {
    /// Values in a vector.
    pub(super) lanes: usize,
    /// Vectors in a panel of a matrix product.
    pub(super) panel: usize,
}

impl Vectors {
    pub(super) fn of(isa: Isa) -> Self {
        Self {
            lanes: isa.lanes(),
            panel: simd::panel_vectors(isa),
        }
    }

    pub(super) fn count(&self, channels: usize) -> usize {
        channels.div_ceil(self.lanes)
    }

    /// Channels with the zeros that fill up the last vector.
    pub(super) fn width(&self, channels: usize) -> usize {
        self.count(channels) * self.lanes
    }

    /// A matrix in the panels of the instruction set.
    pub(super) fn panels(&self, columns: usize, depth: usize) -> PanelLayout {
        PanelLayout::new(columns, depth, self.lanes, self.panel)
    }
}

/// Gives out offsets on cache lines, one range after the other.
#[derive(Default)]
pub(super) struct Offsets(usize);

impl Offsets {
    pub(super) fn take(&mut self, values: usize) -> usize {
        let offset = self.0;
        self.0 += values.next_multiple_of(16);
        offset
    }

    /// Values given out so far.
    pub(super) fn end(&self) -> usize {
        self.0
    }
}

/// One range for each thread.
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

/// Ranges that layers use in turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedBuffers {
    /// Two buffers of gradients: layer `i` reads the one of its parity.
    pub(super) gradients: [usize; 2],
    /// A vector that holds the number of pixels, and two rows of sums.
    pub(super) partials: PerThread,
    /// Sums of weight gradients: one of each thread, or one in which threads share the panels.
    pub(super) weight_sums: PerThread,
    pub(super) scratch: PerThread,
}
