//! Where an activation lies in the arena.
//!
//! ```text
//! value (y, x, c) at  offset + y * row + (left + x) * pixel + c
//! ```
//!
//! `left` and `right` columns of zeros stand beside the map where the next layer's window reaches
//! beyond it; whoever writes the map writes them. Rows beyond the map are one row of zeros that
//! all layers share.

use crate::geometry::{Axis, ConvSize};

/// Layout of one activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Map {
    /// First value, from the start of the arena.
    pub(super) offset: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// Columns of zeros on either side.
    pub(super) left: usize,
    pub(super) right: usize,
    /// Values from a pixel to the next.
    pub(super) pixel: usize,
}

impl Map {
    /// Values from a row to the next.
    pub(super) fn row(&self) -> usize {
        (self.left + self.width + self.right) * self.pixel
    }

    /// Values of the whole map.
    pub(super) fn len(&self) -> usize {
        self.height * self.row()
    }

    /// Place of a pixel of the map itself.
    pub(super) fn at(&self, y: usize, x: usize) -> usize {
        self.offset + y * self.row() + (self.left + x) * self.pixel
    }

    /// Places of pixels in the order of rows, from the one numbered `first`, counted from row `y`.
    #[inline(always)]
    pub(super) fn places(&self, y: usize, first: usize) -> impl Iterator<Item = usize> {
        let mut x = first % self.width;
        let mut next = self.at(y + first / self.width, x);
        std::iter::repeat_with(move || {
            let place = next;
            (x, next) = (x + 1, next + self.pixel);
            if x == self.width {
                (x, next) = (0, next + (self.right + self.left) * self.pixel);
            }
            place
        })
    }
}

/// Zeros that a window needs before and after an axis.
pub(super) fn zeros(axis: &Axis) -> (usize, usize) {
    let span = (axis.kernel - 1) * axis.dilation + 1;
    let reach = (axis.output - 1) * axis.stride + span;
    (axis.before, reach.saturating_sub(axis.before + axis.input))
}

/// Columns of zeros that a window needs left and right of its input.
pub(super) fn columns_of_zeros(size: &ConvSize) -> (usize, usize) {
    zeros(&size.columns)
}
