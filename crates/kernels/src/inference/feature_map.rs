//! Position of an activation in the arena.
//!
//! ```text
//! value (y, x, c) at  start + y * row + (left + x) * pixel + c
//! ```
//!
//! `start` is in bytes; distances inside a map are in values.
//!
//! A map has `left` and `right` columns of zeros where the window of the next layer reaches beyond
//! it. Whoever writes the map writes these zeros. All rows outside a map are one row of zeros that
//! all layers share.

use crate::geometry::ConvSize;
use crate::simd::cursor::Cursor;

/// Most taps of a window that reads a map. 7x7 is more than any kernel in use has. The schedule
/// refuses larger ones.
pub(super) const MOST_TAPS: usize = 49;

/// Layout of one activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FeatureMap {
    /// Bytes from the arena's start to the map's, a multiple of `value`.
    pub(super) start: usize,
    /// Bytes of a value.
    pub(super) value: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// Columns of zeros on each side.
    pub(super) left: usize,
    pub(super) right: usize,
    /// Values from a pixel to the next.
    pub(super) pixel: usize,
}

impl FeatureMap {
    /// Values from a row to the next.
    #[inline(always)]
    pub(super) fn row(&self) -> usize {
        (self.left + self.width + self.right) * self.pixel
    }

    /// Bytes of the whole map.
    pub(super) fn bytes(&self) -> usize {
        self.height * self.row() * self.value
    }

    /// Bytes from the arena's start to row `y`, zeros included.
    #[inline(always)]
    pub(super) fn row_at(&self, y: usize) -> usize {
        self.start + y * self.row() * self.value
    }

    /// The same pixels for a reader that wants no zeros beside them.
    pub(super) fn without_zeros(self) -> Self {
        Self {
            start: self.start + self.left * self.pixel * self.value,
            left: 0,
            right: self.left + self.right,
            ..self
        }
    }

    /// Bytes from the arena's start to a pixel.
    #[inline(always)]
    pub(super) fn at(&self, y: usize, x: usize) -> usize {
        self.row_at(y) + (self.left + x) * self.pixel * self.value
    }

    /// The pixels from row `y` on, in an arena that begins at `arena`.
    #[inline(always)]
    pub(super) fn cursor<T>(&self, arena: *mut u8, y: usize) -> Cursor<T> {
        Cursor {
            at: arena.wrapping_add(self.at(y, 0)).cast(),
            column: 0,
            columns: self.width,
            pixel: self.pixel,
            gap: (1 + self.right + self.left) * self.pixel,
        }
    }
}

/// Columns of zeros that a window needs left and right of its input.
pub(super) fn columns_of_zeros(size: &ConvSize) -> (usize, usize) {
    (size.columns.before, size.columns.after())
}
