//! What a thread needs while an image goes through the steps of a program.

use super::images::{Destination, IntegerImages};
use super::map::Map;
use super::packed::PackedLayer;
use super::quantizer::Quantizer;
use crate::simd::SharedBuffer;
use crate::simd::integer::Products;
use crate::simd::team::Turn;

/// One pass of an image through the steps.
pub(super) struct Context<'a> {
    pub(super) images: &'a IntegerImages<'a>,
    /// Index of the image in the batch.
    pub(super) image: usize,
    pub(super) quantizer: &'a Quantizer,
    /// The instruction set's.
    pub(super) products: Products,
    pub(super) arena: &'a SharedBuffer,
    /// Offset of the first thread's scratch, and bytes from a thread's to the next.
    pub(super) scratch: [usize; 2],
    pub(super) layers: &'a [PackedLayer],
    pub(super) outputs: &'a [Destination],
}

impl Context<'_> {
    /// A pointer to byte `offset` of the arena.
    #[inline(always)]
    pub(super) fn pointer(&self, offset: usize) -> *mut u8 {
        self.arena.at(offset)
    }

    /// A thread's own memory, which starts on a cache line.
    #[inline(always)]
    pub(super) fn scratch(&self, thread: usize) -> *mut u8 {
        self.arena.at(self.scratch[0] + thread * self.scratch[1])
    }

    /// Bytes of the arena, to be read.
    ///
    /// # Safety
    /// They must be inside the arena, and no thread may write them meanwhile.
    #[inline(always)]
    pub(super) unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: the caller's guarantee.
        unsafe { std::slice::from_raw_parts(self.pointer(offset), len) }
    }

    /// Bytes of the arena, to be written.
    ///
    /// # Safety
    /// They must be inside the arena, and the caller's alone.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "threads share the arena")]
    pub(super) unsafe fn bytes_mut(&self, offset: usize, len: usize) -> &mut [u8] {
        // SAFETY: the caller's guarantee.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(offset), len) }
    }

    /// Writes a chunk's part of the border of a map that the step writes.
    #[inline(always)]
    pub(super) fn write_border(&self, map: &Map, turn: Turn) {
        if map.border == Default::default() {
            return;
        }
        for (offset, len) in map.border_of(|rows| turn.share(rows)) {
            // SAFETY: the border is in the arena, these rows' is this chunk's.
            unsafe {
                self.pointer(offset)
                    .write_bytes(map.scale.zero_point as u8, len);
            }
        }
    }
}
