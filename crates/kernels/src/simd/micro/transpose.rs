//! Columns of a matrix into rows of a panel.

use std::ops::Range;

use crate::simd::Simd;

/// Number of columns, and of `k`, that are transposed at once in registers.
const SQUARE: usize = 4;

/// Values of `k` that are read at once from each column. They are several cache lines, so that a
/// column is read in long runs, but few enough that what is written for a whole panel stays in L1.
pub(crate) const RUN: usize = 64;

/// Columns of contiguous values, `[columns, depth]`.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    values: &'a [f32],
    depth: usize,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(values: &'a [f32], depth: usize) -> Self {
        Self { values, depth }
    }

    /// Some of the columns.
    #[inline(always)]
    pub(crate) fn part(&self, columns: Range<usize>) -> Self {
        let values = &self.values[columns.start * self.depth..columns.end * self.depth];
        Self { values, ..*self }
    }

    /// Transposes the values of some `k`, with column `c` multiplied by `scale(c)`. The row of each
    /// `k` begins `width` values after the one before, the first at `to`.
    ///
    /// # Safety
    /// These rows, each of as many values as there are columns, must be writable.
    #[inline(always)]
    pub(crate) unsafe fn transpose<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        scale: impl Fn(usize) -> f32,
        to: *mut f32,
        width: usize,
    ) {
        let Self { values, depth } = *self;
        let columns = values.len() / depth;
        assert!(rows.end <= depth);
        let row = |k: usize| to.wrapping_add((k - rows.start) * width);
        let write = |column: usize, k: Range<usize>| {
            for (k, value) in k.clone().zip(&values[column * depth..][k]) {
                // SAFETY: the caller guarantees these rows and columns.
                unsafe { row(k).add(column).write(value * scale(column)) }
            }
        };
        let squares = columns / SQUARE * SQUARE;
        for start in rows.clone().step_by(RUN) {
            let end = rows.end.min(start + RUN);
            let whole = end - (end - start) % SQUARE;
            for column in (0..squares).step_by(SQUARE) {
                let scales: [f32; SQUARE] = std::array::from_fn(|l| scale(column + l));
                for k in (start..whole).step_by(SQUARE) {
                    // SAFETY: columns and `k` are inside `values`, and the caller guarantees these
                    // rows and columns of the result.
                    unsafe {
                        let from = values.as_ptr().add(column * depth + k);
                        let to = row(k).add(column);
                        simd.transpose(from, depth, scales.as_ptr(), to, width);
                    }
                }
                for column in column..column + SQUARE {
                    write(column, whole..end);
                }
            }
            for column in squares..columns {
                write(column, start..end);
            }
        }
    }
}
