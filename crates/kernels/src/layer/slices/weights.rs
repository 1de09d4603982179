//! The layout of a matrix of weights in a slice, and the packing of its panels at each call.

use std::ops::Range;

use super::Epilogue;
use crate::panels::Panel;
use crate::simd::Simd;

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
                let values = &values[panel.first * self.column..][..panel.columns * self.column];
                transpose(
                    simd,
                    values,
                    panel,
                    |lane| epilogue.scale(panel.first + lane),
                    to,
                );
            } else {
                panel.for_each(|column, k, index| {
                    let value = values[self.at(column, k)];
                    to.add(index).write(value * epilogue.scale(column));
                });
            }
        }
    }
}

/// Number of columns, and of `k`, that are transposed at once in registers.
const SQUARE: usize = 4;

/// Values of `k` that are read at once from each column. They are several cache lines, so that a
/// column is read in long runs, but few enough that what is written for a whole panel stays in L1.
const RUN: usize = 64;

/// Packs columns whose values are contiguous, with each column multiplied by its scale.
///
/// # Safety
/// `to` must have room for the panel.
#[inline(always)]
unsafe fn transpose<S: Simd>(
    simd: S,
    values: &[f32],
    panel: &Panel,
    scale: impl Fn(usize) -> f32,
    to: *mut f32,
) {
    let (depth, width) = (panel.depth, panel.width);
    assert_eq!(values.len(), panel.columns * depth);
    let write = |column: usize, k: Range<usize>| {
        let row = &values[column * depth..][k.clone()];
        for (k, value) in k.zip(row) {
            // SAFETY: inside the panel, for which the caller guarantees room.
            unsafe { to.add(k * width + column).write(value * scale(column)) }
        }
    };
    let squares = panel.columns / SQUARE * SQUARE;
    for start in (0..depth).step_by(RUN) {
        let end = depth.min(start + RUN);
        let whole = end - (end - start) % SQUARE;
        for column in (0..squares).step_by(SQUARE) {
            let scales: [f32; SQUARE] = std::array::from_fn(|l| scale(column + l));
            for k in (start..whole).step_by(SQUARE) {
                // SAFETY: columns and `k` are inside `values` and inside the panel, for which the
                // caller guarantees room.
                unsafe {
                    let from = values.as_ptr().add(column * depth + k);
                    let to = to.add(k * width + column);
                    simd.transpose(from, depth, scales.as_ptr(), to, width);
                }
            }
            for column in column..column + SQUARE {
                write(column, whole..end);
            }
        }
        for column in squares..panel.columns {
            write(column, start..end);
        }
    }
}
