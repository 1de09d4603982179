//! What tiles prefetch into L2 while they compute: each tile walks at an even pace through its share
//! of a region that is read next. A burst of prefetches would hold up the loads of the tile itself.
//! On Zen 3, one thread, an even pace takes 5.93 instead of 6.06 ms at 0.75/192 and 1.98 instead of
//! 2.01 ms at 0.5/160, compared with steps of whole values, which left out a third of most panels.

/// A region that is read next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Region {
    start: *const u8,
    bytes: usize,
}

/// A region that is divided among tiles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ahead {
    start: *const u8,
    /// Bytes of a tile.
    share: usize,
    /// Bytes for each `k`.
    pace: usize,
}

/// The share of a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    pub(super) at: *const u8,
    /// Bytes further on for each `k`.
    pub(super) pace: usize,
}

impl Region {
    /// `bytes` at `start`. Nothing is read, so any region is allowed.
    #[inline(always)]
    pub(crate) fn new<T>(start: *const T, bytes: usize) -> Self {
        let start = start.cast();
        Self { start, bytes }
    }

    /// The region for `tiles` tiles of `length` values of `k`. The pace is rounded up: a tile's end
    /// is the next tile's start, and to prefetch a line again costs little.
    #[inline(always)]
    pub(crate) fn divide(self, tiles: usize, length: usize) -> Ahead {
        Ahead {
            start: self.start,
            share: self.bytes / tiles.max(1),
            pace: self.bytes.div_ceil((tiles * length).max(1)),
        }
    }
}

impl Ahead {
    /// No region: the line at `at` again and again.
    #[inline(always)]
    pub(crate) fn stay<T>(at: *const T) -> Self {
        Self {
            start: at.cast(),
            share: 0,
            pace: 0,
        }
    }

    /// The shares from tile `index` on.
    #[inline(always)]
    pub(crate) fn starting_at(self, index: usize) -> Self {
        Self {
            start: self.start.wrapping_add(self.share * index),
            ..self
        }
    }

    /// The share of tile `index`.
    #[inline(always)]
    pub(crate) fn of_tile(&self, index: usize) -> Walk {
        Walk {
            at: self.start.wrapping_add(self.share * index),
            pace: self.pace,
        }
    }
}

impl Walk {
    /// The same some bytes further on.
    #[inline(always)]
    pub(super) fn further(self, bytes: usize) -> Self {
        Self {
            at: self.at.wrapping_add(bytes),
            ..self
        }
    }

    /// What is left after `length` values of `k`.
    #[inline(always)]
    pub(super) fn after(self, length: usize) -> Self {
        Self {
            at: self.at.wrapping_add(self.pace * length),
            ..self
        }
    }
}
