//! The layout of a matrix of weights in a slice, and the packing of its panels at each call.

use super::Epilogue;
use crate::panels::Panel;

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
    pub(super) unsafe fn pack(
        &self,
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
                transpose(values, panel, |lane| epilogue.scale(panel.first + lane), to);
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
unsafe fn transpose(values: &[f32], panel: &Panel, scale: impl Fn(usize) -> f32, to: *mut f32) {
    let (depth, width) = (panel.depth, panel.width);
    let squares = panel.columns / SQUARE * SQUARE;
    for start in (0..depth).step_by(RUN) {
        let run = RUN.min(depth - start);
        for lane in (0..squares).step_by(SQUARE) {
            let rows: [&[f32]; SQUARE] =
                std::array::from_fn(|l| &values[(lane + l) * depth + start..][..run]);
            let scales: [f32; SQUARE] = std::array::from_fn(|l| scale(lane + l));
            let [a, b, c, d] = rows.map(|row| row.as_chunks::<SQUARE>().0);
            for (k, (((a, b), c), d)) in a.iter().zip(b).zip(c).zip(d).enumerate() {
                let square = [a, b, c, d];
                let square: [[f32; SQUARE]; SQUARE] =
                    std::array::from_fn(|l| square[l].map(|value| value * scales[l]));
                let turned: [[f32; SQUARE]; SQUARE] =
                    std::array::from_fn(|i| square.map(|row| row[i]));
                for (i, &row) in turned.iter().enumerate() {
                    // SAFETY: inside the panel, for which the caller guarantees room.
                    unsafe {
                        let to = to.add((start + k * SQUARE + i) * width + lane);
                        to.cast::<[f32; SQUARE]>().write_unaligned(row);
                    }
                }
            }
            for (l, row) in rows.iter().enumerate() {
                for (k, &value) in row.iter().enumerate().skip(run / SQUARE * SQUARE) {
                    // SAFETY: inside the panel, for which the caller guarantees room.
                    unsafe {
                        let to = to.add((start + k) * width + lane + l);
                        to.write(value * scales[l]);
                    }
                }
            }
        }
        for lane in squares..panel.columns {
            let (row, scale) = (&values[lane * depth + start..][..run], scale(lane));
            for (k, &value) in row.iter().enumerate() {
                // SAFETY: inside the panel, for which the caller guarantees room.
                unsafe { to.add((start + k) * width + lane).write(value * scale) }
            }
        }
    }
}
