//! Where an activation is in the arena, and the border around it.

use std::ops::Range;

use super::rounding::ByteScale;
use crate::geometry::ConvSize;

/// Rows and columns around a map, which hold its zero point: a window that reaches beyond the map
/// adds nothing to the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Border {
    pub(super) top: usize,
    pub(super) bottom: usize,
    pub(super) left: usize,
    pub(super) right: usize,
}

impl Border {
    /// As far as windows reach.
    pub(super) fn of(size: &ConvSize) -> Self {
        Self {
            top: size.rows.before,
            bottom: size.rows.after(),
            left: size.columns.before,
            right: size.columns.after(),
        }
    }
}

/// An activation, one byte a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Map {
    /// Of the border's first byte in the arena.
    pub(super) offset: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) border: Border,
    pub(super) scale: ByteScale,
}

impl Map {
    pub(super) fn shape(&self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// Bytes of a row with its border.
    pub(super) fn row(&self) -> usize {
        (self.border.left + self.width + self.border.right) * self.channels
    }

    fn rows(&self) -> usize {
        self.border.top + self.height + self.border.bottom
    }

    /// All bytes. `None` if they are more than fit an address.
    pub(super) fn bytes(&self) -> Option<usize> {
        let Border {
            top,
            bottom,
            left,
            right,
        } = self.border;
        let rows = top.checked_add(bottom)?.checked_add(self.height)?;
        let columns = left.checked_add(right)?.checked_add(self.width)?;
        rows.checked_mul(columns)?.checked_mul(self.channels)
    }

    /// Offset of a pixel.
    pub(super) fn at(&self, y: usize, x: usize) -> usize {
        let (y, x) = (self.border.top + y, self.border.left + x);
        self.offset + y * self.row() + x * self.channels
    }

    /// Offset of the first pixel of a window at output `y`, `x`, if the border is as wide as the
    /// windows reach.
    pub(super) fn window(&self, y: usize, x: usize, stride: usize) -> usize {
        self.offset + y * stride * self.row() + x * stride * self.channels
    }

    /// The parts of the border beside some of all rows: offset and number of bytes.
    pub(super) fn border_of(
        &self,
        part: impl Fn(usize) -> Range<usize>,
    ) -> impl Iterator<Item = (usize, usize)> {
        let Border {
            top, left, right, ..
        } = self.border;
        let (row, channels) = (self.row(), self.channels);
        let (offset, height) = (self.offset, self.height);
        let rows = part(self.rows());
        rows.flat_map(move |y| {
            let start = offset + y * row;
            if (top..top + height).contains(&y) {
                let right = right * channels;
                [(start, left * channels), (start + row - right, right)]
            } else {
                [(start, row), (start, 0)]
            }
        })
    }
}
