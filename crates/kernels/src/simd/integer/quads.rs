//! Depthwise convolution with windows of 3 x 3, by four vectors of channels at a time. A whole vector of
//! bytes is read of each row, and rows are interleaved in registers. The sums then have an order of
//! their own, in which they are packed to a whole vector of bytes again: that takes half the
//! instructions of widening each row and narrowing each vector of sums.
//!
//! Where fewer channels are left than a vector has bytes, it takes those of several pixels: a row is
//! divided into parts, streams, of which each vector has one pixel each.

use std::mem::MaybeUninit;

use super::rounding::{Rounding, Scaling};
use super::row::{GROUP, Quad, Row, TapProducts, Target};
use super::vector::IntegerSimd;

/// Pixels whose sums are computed before the first of them is rounded.
const BLOCK: usize = 16;

impl Scaling {
    /// The same from a channel on.
    #[inline(always)]
    pub(super) fn from(self, channel: usize) -> Self {
        let factors = self.factors.wrapping_add(channel);
        Self { factors, ..self }
    }

    /// The byte of the lower bound.
    #[inline(always)]
    pub(super) fn least_byte(self) -> u8 {
        (self.bounds[0] as i32 + self.zero_point) as u8
    }
}

/// Vectors whose bytes can be interleaved and packed. A vector of `Pairs` has as many bytes as four
/// vectors have sums.
pub(crate) trait QuadSimd: IntegerSimd {
    /// Bytes from `N` places, one after another.
    ///
    /// # Safety
    /// A part of a vector must be readable at each place.
    unsafe fn read<const N: usize>(self, from: [*const u8; N]) -> Self::Pairs;

    /// # Safety
    /// A part of a vector must be writable at each place.
    unsafe fn write<const N: usize>(self, to: [*mut u8; N], bytes: Self::Pairs);

    /// Writes bytes as left operands.
    ///
    /// # Safety
    /// A part of a vector must be writable at each place.
    unsafe fn write_values<const N: usize>(self, to: [*mut Self::Value; N], bytes: Self::Pairs);

    /// No bytes but 0.
    fn zeros(self) -> Self::Pairs;

    /// The bytes of the first or the second half of each [`GROUP`], by turns.
    fn zip_bytes<const SECOND: bool>(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs;

    /// The same with two bytes at a time.
    fn zip_words<const SECOND: bool>(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs;

    /// As [`IntegerSimd::scale`], as bytes.
    ///
    /// # Safety
    /// Factors of four vectors must be readable.
    unsafe fn pack(self, sums: [Self::Sums; 4], scaling: Scaling) -> Self::Pairs;
}

/// Vectors that multiply four bytes at a time.
pub(crate) trait ColumnSimd: QuadSimd {
    /// Adds to each lane the products of four bytes and four weights.
    fn dot_bytes(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums;
}

/// How the products of a window are computed, for two of the four vectors.
trait Taps<S: QuadSimd> {
    /// Weights of a lane in a window, of 8 bits each.
    const BYTES: usize;
    /// A column of windows, ready to be multiplied.
    type Column: Copy;

    /// The column of three rows, for the first or the second two vectors. The fourth has the pixels to
    /// the right of the last row.
    fn column<const SECOND: bool>(simd: S, rows: [S::Pairs; 4]) -> Self::Column;

    /// Adds the products of windows.
    ///
    /// # Safety
    /// The weights of two vectors must be readable.
    unsafe fn add(
        simd: S,
        sums: [S::Sums; 2],
        columns: [Self::Column; 3],
        weights: *const u8,
    ) -> [S::Sums; 2];
}

/// [`TapProducts::Columns`].
struct Columns;

impl<S: ColumnSimd> Taps<S> for Columns {
    const BYTES: usize = 3 * 4;
    type Column = [S::Pairs; 2];

    #[inline(always)]
    fn column<const SECOND: bool>(simd: S, [a, b, c, _]: [S::Pairs; 4]) -> Self::Column {
        let two = simd.zip_bytes::<SECOND>(a, b);
        let third = simd.zip_bytes::<SECOND>(c, simd.zeros());
        [
            simd.zip_words::<false>(two, third),
            simd.zip_words::<true>(two, third),
        ]
    }

    #[inline(always)]
    unsafe fn add(
        simd: S,
        mut sums: [S::Sums; 2],
        columns: [Self::Column; 3],
        weights: *const u8,
    ) -> [S::Sums; 2] {
        for (index, column) in columns.into_iter().enumerate() {
            for (v, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's guarantee.
                let weights = unsafe { simd.pairs_of_weights(vector::<S>(weights, 2 * index + v)) };
                *sums = simd.dot_bytes(*sums, column[v], weights);
            }
        }
        sums
    }
}

/// [`TapProducts::Pairs`]: those of the first two rows, and neighbours in the last one.
struct Pairs;

impl<S: QuadSimd> Taps<S> for Pairs {
    const BYTES: usize = 5 * 4;
    type Column = [[S::Pairs; 2]; 2];

    #[inline(always)]
    fn column<const SECOND: bool>(simd: S, [a, b, c, next]: [S::Pairs; 4]) -> Self::Column {
        [
            widened::<S, SECOND>(simd, a, b),
            widened::<S, SECOND>(simd, c, next),
        ]
    }

    #[inline(always)]
    unsafe fn add(
        simd: S,
        mut sums: [S::Sums; 2],
        [left, middle, right]: [Self::Column; 3],
        weights: *const u8,
    ) -> [S::Sums; 2] {
        let pairs = [left[0], middle[0], right[0], left[1], right[1]];
        for (index, pair) in pairs.into_iter().enumerate() {
            for (v, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's guarantee.
                let weights = unsafe { simd.pairs_of_weights(vector::<S>(weights, 2 * index + v)) };
                *sums = simd.dot_pairs(*sums, pair[v], weights);
            }
        }
        sums
    }
}

/// Two bytes of each lane, side by side, as 16 bits.
#[inline(always)]
fn widened<S: QuadSimd, const SECOND: bool>(simd: S, a: S::Pairs, b: S::Pairs) -> [S::Pairs; 2] {
    let two = simd.zip_bytes::<SECOND>(a, b);
    [
        simd.zip_bytes::<false>(two, simd.zeros()),
        simd.zip_bytes::<true>(two, simd.zeros()),
    ]
}

/// Where a vector of weights is.
#[inline(always)]
fn vector<S: IntegerSimd>(weights: *const u8, index: usize) -> *const i16 {
    weights.wrapping_add(4 * S::LANES * index).cast()
}

/// Computes a row in pairs of taps, if its channels are packed in quads.
///
/// # Safety
/// As [`IntegerSimd::depthwise_quads`].
#[inline(always)]
pub(super) unsafe fn pairs<S: QuadSimd>(simd: S, row: &Row<'_>, target: Target<S::Value>) -> bool {
    // SAFETY: the caller's guarantee.
    row.products == TapProducts::Pairs && unsafe { run::<S, Pairs>(simd, row, target) }
}

/// The same in columns or pairs.
///
/// # Safety
/// As [`IntegerSimd::depthwise_quads`].
#[inline(always)]
pub(super) unsafe fn columns_or_pairs<S: ColumnSimd>(
    simd: S,
    row: &Row<'_>,
    target: Target<S::Value>,
) -> bool {
    // SAFETY: the caller's guarantee.
    unsafe {
        match row.products {
            TapProducts::Columns => run::<S, Columns>(simd, row, target),
            TapProducts::Pairs => run::<S, Pairs>(simd, row, target),
        }
    }
}

/// A quad of a row.
struct Task<'a, V> {
    row: &'a Row<'a>,
    /// Bytes from a row of the window to the next.
    line: usize,
    input: *const u8,
    weights: *const u8,
    start: *const i32,
    scaling: Scaling,
    target: Target<V>,
}

/// # Safety
/// As [`IntegerSimd::depthwise_quads`], and weights have the order of `T`.
#[inline(always)]
unsafe fn run<S: QuadSimd, T: Taps<S>>(simd: S, row: &Row<'_>, target: Target<S::Value>) -> bool {
    let (Some(line), Rounding::F32(scaling)) = (row.square, row.rounding) else {
        return false;
    };
    for (index, &Quad { first, streams }) in row.quads.iter().enumerate() {
        let sums = 4 * index * S::LANES;
        let task = Task {
            row,
            line,
            input: row.input.wrapping_add(first),
            weights: row.weights.wrapping_add(sums * T::BYTES),
            start: row.start.wrapping_add(sums),
            scaling: scaling.from(sums),
            target: target.from(first),
        };
        // SAFETY: the caller's guarantee; quads are packed one after another.
        unsafe {
            match streams {
                1 => streamed::<S, T, 1>(simd, &task),
                2 => streamed::<S, T, 2>(simd, &task),
                _ if S::LANES == GROUP => streamed::<S, T, 4>(simd, &task),
                _ => return false,
            }
        }
    }
    !row.quads.is_empty()
}

/// # Safety
/// As [`run`]; the quad has `STREAMS` streams.
#[inline(always)]
unsafe fn streamed<S: QuadSimd, T: Taps<S>, const STREAMS: usize>(
    simd: S,
    task: &Task<'_, S::Value>,
) {
    let row = task.row;
    // Streams of an uneven row overlap: what they both compute is the same.
    let pixels = row.pixels.div_ceil(STREAMS);
    let mut starts = [0; STREAMS];
    for (stream, start) in starts.iter_mut().enumerate() {
        *start = (stream * pixels).min(row.pixels - pixels);
    }
    let mut done = 0;
    while done < pixels {
        let count = BLOCK.min(pixels - done);
        let mut sums = MaybeUninit::<[[S::Sums; 4]; BLOCK]>::uninit();
        let sums: *mut [S::Sums; 4] = sums.as_mut_ptr().cast();
        // SAFETY: there is room for the sums of a block; the streams' windows, the weights and the output
        // are the caller's guarantee.
        unsafe {
            half::<S, T, STREAMS, false>(simd, task, starts, (sums, count));
            half::<S, T, STREAMS, true>(simd, task, starts, (sums, count));
            for pixel in 0..count {
                let bytes = simd.pack(sums.add(pixel).read(), task.scaling);
                match task.target {
                    Target::Bytes(to, step) => simd.write(places(to, step, starts), bytes),
                    Target::Values(to, step) => simd.write_values(places(to, step, starts), bytes),
                }
                for start in &mut starts {
                    *start += 1;
                }
            }
        }
        done += count;
    }
}

/// The places of some pixels.
#[inline(always)]
fn places<V, const N: usize>(to: *mut V, step: usize, pixels: [usize; N]) -> [*mut V; N] {
    let mut places = [to; N];
    for (place, pixel) in places.iter_mut().zip(pixels) {
        *place = to.wrapping_add(pixel * step);
    }
    places
}

/// Computes two of the vectors' sums of `count` pixels of each stream.
///
/// # Safety
/// As [`streamed`]; there is room for the sums.
#[inline(always)]
unsafe fn half<S: QuadSimd, T: Taps<S>, const STREAMS: usize, const SECOND: bool>(
    simd: S,
    task: &Task<'_, S::Value>,
    starts: [usize; STREAMS],
    (sums, count): (*mut [S::Sums; 4], usize),
) {
    let (row, half) = (task.row, usize::from(SECOND));
    let is_strided = row.step > row.pixel;
    let mut windows = places(task.input.cast_mut(), row.step, starts);
    // SAFETY: the caller's guarantee.
    unsafe {
        let start = task.start.wrapping_add(2 * half * S::LANES);
        let start = [simd.load(start), simd.load(start.add(S::LANES))];
        let weights = task.weights.wrapping_add(2 * half * S::LANES * T::BYTES);
        let mut left = column::<S, T, STREAMS, SECOND>(simd, task, windows, 0);
        let mut middle = column::<S, T, STREAMS, SECOND>(simd, task, windows, 1);
        for pixel in 0..count {
            let right = column::<S, T, STREAMS, SECOND>(simd, task, windows, 2);
            let two = T::add(simd, start, [left, middle, right], weights);
            sums.add(pixel).cast::<[S::Sums; 2]>().add(half).write(two);
            for window in &mut windows {
                *window = window.wrapping_add(row.step);
            }
            (left, middle) = if is_strided {
                (
                    right,
                    column::<S, T, STREAMS, SECOND>(simd, task, windows, 1),
                )
            } else {
                (middle, right)
            };
        }
    }
}

/// Column `x` of windows.
///
/// # Safety
/// As [`half`].
#[inline(always)]
unsafe fn column<S: QuadSimd, T: Taps<S>, const STREAMS: usize, const SECOND: bool>(
    simd: S,
    task: &Task<'_, S::Value>,
    windows: [*mut u8; STREAMS],
    x: usize,
) -> T::Column {
    let mut rows = [simd.zeros(); 4];
    for (y, row) in rows.iter_mut().enumerate() {
        let (y, x) = if y < 3 { (y, x) } else { (2, x + 1) };
        let mut from = [std::ptr::null(); STREAMS];
        for (from, window) in from.iter_mut().zip(windows) {
            *from = window
                .wrapping_add(y * task.line + x * task.row.pixel)
                .cast_const();
        }
        // SAFETY: the caller guarantees the windows, and a pixel to their right.
        *row = unsafe { simd.read(from) };
    }
    T::column::<SECOND>(simd, rows)
}
