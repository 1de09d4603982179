//! The layout of a matrix of weights in a slice, and the packing of its panels at each call.

use super::Epilogue;
use crate::panels::Panel;
use crate::simd::Simd;
use crate::simd::transpose::Columns;

/// Layout of a matrix of weights in a slice. The weight of column `c` and `k = n * inner + i` is at
/// `c * column + n * outer_stride + i * inner_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Weights {
    pub(crate) columns: usize,
    pub(crate) depth: usize,
    column: usize,
    inner: usize,
    outer_stride: usize,
    inner_stride: usize,
}

impl Weights {
    /// `[columns, depth]`.
    pub(crate) fn columns_first(columns: usize, depth: usize) -> Self {
        Self {
            columns,
            depth,
            column: depth,
            inner: depth,
            outer_stride: 0,
            inner_stride: 1,
        }
    }

    /// `[depth, columns]`.
    pub(crate) fn depth_first(columns: usize, depth: usize) -> Self {
        Self {
            columns,
            depth,
            column: 1,
            inner: depth,
            outer_stride: 0,
            inner_stride: columns,
        }
    }

    /// `[columns, channels, taps]`, to be multiplied by patches.
    pub(crate) fn taps_last(columns: usize, channels: usize, taps: usize) -> Self {
        Self {
            columns,
            depth: channels * taps,
            column: channels * taps,
            inner: channels,
            outer_stride: 1,
            inner_stride: taps,
        }
    }

    #[inline(always)]
    pub(super) fn at(&self, column: usize, k: usize) -> usize {
        let outer = k / self.inner;
        column * self.column
            + outer * self.outer_stride
            + (k - outer * self.inner) * self.inner_stride
    }

    /// Packs a panel, with each column multiplied by its scale.
    ///
    /// # Safety
    /// `to` must have room for the panel.
    #[inline(always)]
    pub(super) unsafe fn pack<S: Simd>(
        &self,
        simd: S,
        values: &[f32],
        panel: &Panel,
        epilogue: &Epilogue<'_>,
        to: *mut f32,
    ) {
        // SAFETY: all indices are inside the panel, for which the caller guarantees room.
        unsafe {
            if panel.columns < panel.width {
                to.write_bytes(0, panel.len());
            }
            if self.column == 1 {
                for k in 0..panel.depth {
                    let row = &values[self.at(panel.first, k)..][..panel.columns];
                    let to = to.add(panel.row(k).start);
                    for (lane, &value) in row.iter().enumerate() {
                        to.add(lane)
                            .write(value * epilogue.scale(panel.first + lane));
                    }
                }
            } else if self.inner == self.depth && self.inner_stride == 1 {
                let columns = Columns::new(values, self.depth);
                let columns = columns.part(panel.first..panel.first + panel.columns);
                let scale = |lane| epilogue.scale(panel.first + lane);
                columns.transpose(simd, 0..panel.depth, scale, to, panel.width);
            } else {
                panel.for_each(|column, k, index| {
                    let value = values[self.at(column, k)];
                    to.add(index).write(value * epilogue.scale(column));
                });
            }
        }
    }
}
