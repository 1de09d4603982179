//! Where the pixels of a map are written, one after another, row by row.

/// The place of the next pixel. Distances are in values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<T> {
    /// The next pixel.
    pub(crate) at: *mut T,
    /// Its column.
    pub(crate) column: usize,
    /// Columns of the map.
    pub(crate) columns: usize,
    /// From a pixel to the next.
    pub(crate) pixel: usize,
    /// From a row's last pixel to the next row's first.
    pub(crate) gap: usize,
}

impl<T> Cursor<T> {
    /// Pixels of one row, from the first on.
    #[inline(always)]
    pub(crate) fn of_row(at: *mut T, pixel: usize) -> Self {
        Self {
            at,
            column: 0,
            columns: usize::MAX,
            pixel,
            gap: 0,
        }
    }

    /// The same pixels, some channels further on.
    #[inline(always)]
    pub(crate) fn channel(self, channel: usize) -> Self {
        Self {
            at: self.at.wrapping_add(channel),
            ..self
        }
    }

    /// The pixel, after which the cursor is at the next one.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> *mut T {
        let at = self.at;
        self.column += 1;
        let wraps = self.column == self.columns;
        self.column = if wraps { 0 } else { self.column };
        // wrapping: after the last pixel, nobody dereferences the pointer.
        self.at = at.wrapping_add(if wraps { self.gap } else { self.pixel });
        at
    }
}
