//! Columns of a matrix into rows of a panel.

use std::ops::Range;

use crate::simd::Simd;

/// Number of columns, and of `k`, that are transposed at once in registers.
const SQUARE: usize = 4;

/// Values of `k` that are read at once from each column. They are several cache lines, so that a
/// column is read in long runs, but few enough that what is written for a whole panel stays in L1.
const RUN: usize = 64;

/// Transposes columns of `depth` contiguous values each, with column `c` multiplied by `scale(c)`.
/// Row `k` of the result begins `k * width` values after `to`.
///
/// # Safety
/// `depth` such rows of as many values as there are columns must be writable.
#[inline(always)]
pub(crate) unsafe fn transpose<S: Simd>(
    simd: S,
    values: &[f32],
    depth: usize,
    scale: impl Fn(usize) -> f32,
    to: *mut f32,
    width: usize,
) {
    let columns = values.len() / depth;
    assert_eq!(values.len(), columns * depth);
    let write = |column: usize, k: Range<usize>| {
        let row = &values[column * depth..][k.clone()];
        for (k, value) in k.zip(row) {
            // SAFETY: the caller guarantees these rows and columns.
            unsafe { to.add(k * width + column).write(value * scale(column)) }
        }
    };
    let squares = columns / SQUARE * SQUARE;
    for start in (0..depth).step_by(RUN) {
        let end = depth.min(start + RUN);
        let whole = end - (end - start) % SQUARE;
        for column in (0..squares).step_by(SQUARE) {
            let scales: [f32; SQUARE] = std::array::from_fn(|l| scale(column + l));
            for k in (start..whole).step_by(SQUARE) {
                // SAFETY: columns and `k` are inside `values`, and the caller guarantees these rows
                // and columns of the result.
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
        for column in squares..columns {
            write(column, start..end);
        }
    }
}
