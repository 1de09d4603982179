//! The gradient of a matrix of weights: a sum of outer products over pixels. The sums of a few rows
//! by one panel of columns are kept in registers.
//!
//! ```text
//! sums[i][j] (+)= sum over p of left[p * left_stride + i] * right[j][p * right_stride ..]
//! ```
//!
//! `i` runs over input channels (one value, broadcast), `j` over vectors of output channels.

use crate::simd::Simd;

/// One block of sums, and its factors.
pub(crate) struct Outer<'a> {
    /// The first row's value at pixel 0.
    pub(crate) left: *const f32,
    /// Values from one pixel to the next.
    pub(crate) left_stride: usize,
    /// Each vector at pixel 0.
    pub(crate) right: &'a [*const f32],
    /// Values from one pixel to the next.
    pub(crate) right_stride: usize,
    /// Number of pixels.
    pub(crate) count: usize,
    /// Vector `j` of row `i` is written to `sums + i * row + j * LANES`.
    pub(crate) sums: *mut f32,
    pub(crate) row: usize,
    /// Whether to add to the values that are there, or to overwrite them.
    pub(crate) add: bool,
}

/// Computes [`Simd::OUTER_ROWS`] rows by `right.len()` (1 to [`Simd::PANEL`]) vectors.
///
/// # Safety
/// All memory that the sizes and strides describe must be readable. The sums must be writable and
/// used by no other thread.
#[inline(always)]
#[expect(
    clippy::collapsible_match,
    reason = "a guard would not keep other sizes from being compiled"
)]
pub(crate) unsafe fn run<S: Simd>(simd: S, outer: &Outer<'_>) {
    macro_rules! choose {
        ($($rows:literal: $($vectors:literal)*;)*) => {
            match (S::OUTER_ROWS, outer.right.len()) {
                $($(($rows, $vectors) => {
                    if const { $rows == S::OUTER_ROWS && $vectors <= S::PANEL } {
                        // SAFETY: the caller guarantees that all this memory is valid.
                        unsafe { fixed::<S, $rows, $vectors>(simd, outer) }
                    }
                })*)*
                _ => {}
            }
        };
    }
    choose! {
        2: 1 2;
        4: 1 2 3 4;
        8: 1 2;
    }
}

/// # Safety
/// As [`run`], for `ROWS` and `VECTORS`.
#[inline(always)]
unsafe fn fixed<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, outer: &Outer<'_>) {
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
        let mut left = outer.left;
        let mut right = [outer.left; VECTORS];
        right.copy_from_slice(&outer.right[..VECTORS]);
        for _ in 0..outer.count {
            let mut values = [simd.splat(0.0); VECTORS];
            for (value, &right) in values.iter_mut().zip(&right) {
                *value = simd.load(right);
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let value = simd.splat(*left.add(i));
                for (sum, right) in sums.iter_mut().zip(values) {
                    *sum = simd.mul_add(right, value, *sum);
                }
            }
            left = left.wrapping_add(outer.left_stride);
            for right in &mut right {
                *right = right.wrapping_add(outer.right_stride);
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let place = outer.sums.add(i * outer.row + j * S::LANES);
                let sum = if outer.add {
                    simd.add(sum, simd.load(place))
                } else {
                    sum
                };
                simd.store(place, sum);
            }
        }
    }
}
