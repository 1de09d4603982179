//! What a thread needs while an image goes through the operations.

use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::feature_map::FeatureMap;
use super::frames::Frames;
use super::input::{ImageLayout, Images};
use crate::simd::SharedBuffer;

/// Offsets in the arena of what all operations share, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Offsets {
    /// A row of zeros.
    pub(super) zeros: usize,
    /// Where the first thread keeps a tile's partial results, and bytes from a thread's to the
    /// next.
    pub(super) partial: usize,
    pub(super) partial_stride: usize,
    /// Room for a pixel that nobody reads. At most one map at a time has such a pixel, and threads
    /// write different channels of it.
    pub(super) discarded: usize,
}

/// One pass of an image through the operations.
pub(super) struct Context<'a> {
    pub(super) offsets: &'a Offsets,
    pub(super) layout: ImageLayout,
    pub(super) images: &'a Images<'a>,
    /// Index of the image in the batch.
    pub(super) image: usize,
    /// Replaces the first layer's weights where the images are 8-bit frames.
    pub(super) frames: Option<&'a Frames>,
    pub(super) arena: &'a SharedBuffer,
    pub(super) weights: &'a [f32],
    /// Where each output is written, for all images.
    pub(super) outputs: &'a [AtomicPtr<f32>],
}

/// One output of a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputSlot {
    /// Its index.
    pub(super) index: usize,
    /// Number of its values for one image.
    pub(super) len: usize,
}

impl Context<'_> {
    /// A pointer to byte `offset` of the arena.
    #[inline(always)]
    pub(super) fn pointer<T>(&self, offset: usize) -> *mut T {
        self.arena.at(offset)
    }

    /// A pointer to value `offset` of the packed weights.
    #[inline(always)]
    pub(super) fn weights(&self, offset: usize) -> *const f32 {
        self.weights.as_ptr().wrapping_add(offset)
    }

    /// Where the image's values of an output are written. No two threads write the same value (see
    /// `operation`).
    #[inline(always)]
    pub(super) fn output(&self, slot: OutputSlot) -> *mut f32 {
        let all = self.outputs[slot.index].load(Ordering::Relaxed);
        // wrapping_add: whoever dereferences the pointer must stay inside the output.
        all.wrapping_add(self.image * slot.len)
    }

    /// The first column, zeros included, of row `y` of a window's input; or the row of zeros, if
    /// the window reaches beyond the map.
    #[inline(always)]
    pub(super) fn input_row(&self, map: &FeatureMap, y: Option<usize>) -> *const f32 {
        match y {
            Some(y) => self.pointer(map.row_at(y)),
            None => self.pointer(self.offsets.zeros),
        }
    }

    /// Writes the zeros on both sides of the rows of a map. The rows must be this chunk's.
    #[inline(always)]
    pub(super) fn zero_columns(&self, map: &FeatureMap, rows: Range<usize>) {
        let [left, right] = [map.left, map.right].map(|pixels| pixels * map.pixel * map.value);
        for y in rows {
            let (start, end) = (map.row_at(y), map.row_at(y + 1));
            // SAFETY: the row is inside the arena, and it is this chunk's.
            unsafe {
                self.pointer::<u8>(start).write_bytes(0, left);
                self.pointer::<u8>(end - right).write_bytes(0, right);
            }
        }
    }
}
