//! The gradient of a matrix of weights: a sum of outer products over pixels. The sums of a few rows
//! by one panel of columns are kept in registers.
//!
//! ```text
//! sums[i][j] (+)= sum over p of left[p * left_stride + i] * right[j][p * right_stride ..]
//! ```
//!
//! `i` runs over input channels (one value, broadcast), `j` over vectors of output channels.

use std::ops::Range;

use crate::simd::Simd;
use crate::simd::opaque::opaque;

/// Pixels in one pass of the loop where all factors are stored by vectors. On a Xeon that takes 4 % less
/// time by AVX-512: its units that multiply also count.
const UNROLLED: usize = 4;

/// Most rows of a block, on any instruction set.
pub(crate) const MOST_ROWS: usize = 8;

/// One block of sums, and its factors.
pub(crate) struct Outer<'a> {
    /// Each row's value at pixel 0. Where [`Simd::LANES`] is a multiple of [`Simd::OUTER_ROWS`], they are
    /// neighbours.
    pub(crate) left: &'a [*const f32],
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

/// Number of blocks for some rows, a multiple of [`Simd::LANES`].
pub(crate) fn blocks<S: Simd>(rows: usize) -> usize {
    rows.div_ceil(S::OUTER_ROWS)
}

/// The rows of block `index`: [`Simd::OUTER_ROWS`], or of some blocks at the end two fewer.
pub(crate) fn rows<S: Simd>(rows: usize, index: usize) -> Range<usize> {
    let blocks = blocks::<S>(rows);
    let shorter = (blocks * S::OUTER_ROWS - rows) / 2;
    let start = |index: usize| index * S::OUTER_ROWS - 2 * index.saturating_sub(blocks - shorter);
    start(index)..start(index + 1)
}

/// Computes as many rows as [`rows`] says by `right.len()` (1 to [`Simd::PANEL`]) vectors.
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
            match (outer.left.len(), outer.right.len()) {
                $($(($rows, $vectors) => {
                    if const { occurs::<S>($rows, $vectors) } {
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
        6: 1 2;
        8: 1 2;
    }
}

/// Whether a block can have this size.
const fn occurs<S: Simd>(rows: usize, vectors: usize) -> bool {
    assert!(S::OUTER_ROWS <= MOST_ROWS);
    let shorter = !S::LANES.is_multiple_of(S::OUTER_ROWS) && rows + 2 == S::OUTER_ROWS;
    (rows == S::OUTER_ROWS || shorter) && vectors <= S::PANEL
}

/// # Safety
/// As [`run`], for `ROWS` and `VECTORS`.
#[inline(always)]
unsafe fn fixed<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, outer: &Outer<'_>) {
    // SAFETY: the caller guarantees that all this memory is valid.
    unsafe {
        let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
        let mut left = [outer.left[0]; ROWS];
        left.copy_from_slice(&outer.left[..ROWS]);
        let mut right = [outer.left[0]; VECTORS];
        right.copy_from_slice(&outer.right[..VECTORS]);
        // One index each, where LLVM would count up each pointer.
        let (mut left_at, mut right_at, mut rest) = (0, 0, outer.count);
        if [outer.left_stride, outer.right_stride] == [S::LANES; 2] {
            for _ in 0..outer.count / UNROLLED {
                macro_rules! step {
                    ($j:literal) => {
                        let at = opaque(left_at) + $j * S::LANES;
                        add(
                            simd,
                            &mut sums,
                            left.map(|left| left.add(at)),
                            right.map(|right| right.add(at)),
                        );
                    };
                }
                step!(0);
                step!(1);
                step!(2);
                step!(3);
                left_at += UNROLLED * S::LANES;
            }
            right_at = left_at;
            rest %= UNROLLED;
        }
        for _ in 0..rest {
            let left = left.map(|left| left.add(left_at));
            add(
                simd,
                &mut sums,
                left,
                right.map(|right| right.add(right_at)),
            );
            left_at = opaque(left_at + outer.left_stride);
            right_at = opaque(right_at + outer.right_stride);
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

/// Adds the outer product of one pixel.
///
/// # Safety
/// The values must be readable, of rows as [`Outer::left`] says.
#[inline(always)]
unsafe fn add<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sums: &mut [[S::Vector; VECTORS]; ROWS],
    left: [*const f32; ROWS],
    right: [*const f32; VECTORS],
) {
    let mut values = [simd.splat(0.0); VECTORS];
    for (value, right) in values.iter_mut().zip(right) {
        // SAFETY: the caller guarantees that this memory is valid.
        *value = unsafe { simd.load(right) };
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        let left = match S::LANES.is_multiple_of(S::OUTER_ROWS) {
            true => left[0].wrapping_add(i),
            false => left[i],
        };
        // SAFETY: the same.
        let value = simd.splat(unsafe { *left });
        for (sum, right) in sums.iter_mut().zip(values) {
            *sum = simd.mul_add(right, value, *sum);
        }
    }
}
