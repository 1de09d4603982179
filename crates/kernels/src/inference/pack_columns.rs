//! Packs matrices whose columns are contiguous: the weights of pointwise layers and of classifiers,
//! which are nearly all weights. The machine's vectors transpose them. The weights of each output
//! channel are multiplied by its scale on the way.

use std::ops::Range;

use super::strassen;
use crate::panels::Panel;
use crate::simd::transpose::{Columns, RUN};
use crate::simd::{Kernel, Simd};

/// Weights `[columns, depth]`, and a scale for each column.
#[derive(Clone, Copy)]
pub(super) struct ScaledColumns<'a> {
    pub(super) weights: &'a [f32],
    pub(super) depth: usize,
    pub(super) scales: Option<&'a [f64]>,
}

/// A weight times its scale, rounded once.
#[inline(always)]
pub(super) fn scale_weight(weight: f32, scale: f64) -> f32 {
    (f64::from(weight) * scale) as f32
}

impl ScaledColumns<'_> {
    /// A weight times its scale.
    #[cfg(feature = "halves")]
    pub(super) fn at(&self, column: usize, k: usize) -> f32 {
        let weight = self.weights[column * self.depth + k];
        self.scales
            .map_or(weight, |scales| scale_weight(weight, scales[column]))
    }

    /// Writes at most [`RUN`] rows, which begin with those of some columns. Each row begins `width`
    /// values after the one before.
    ///
    /// # Safety
    /// These rows of as many values as there are columns must be writable.
    #[inline(always)]
    unsafe fn transpose<S: Simd>(
        &self,
        simd: S,
        columns: Range<usize>,
        rows: Range<usize>,
        to: *mut f32,
        width: usize,
    ) {
        /// Columns that are scaled at a time, into a copy that stays in L1.
        const TOGETHER: usize = 16;
        let Some(scales) = self.scales else {
            let part = Columns::new(self.weights, self.depth).part(columns);
            // SAFETY: passed on from the caller.
            return unsafe { part.transpose(simd, rows, |_| 1.0, to, width) };
        };
        let mut scaled = [0.0; TOGETHER * RUN];
        for first in columns.clone().step_by(TOGETHER) {
            let part = first..columns.end.min(first + TOGETHER);
            for (column, scaled) in part.clone().zip(scaled.chunks_exact_mut(RUN)) {
                let weights = &self.weights[column * self.depth..][rows.clone()];
                for (scaled, &weight) in scaled.iter_mut().zip(weights) {
                    *scaled = scale_weight(weight, scales[column]);
                }
            }
            let part = Columns::new(&scaled, RUN).part(0..part.len());
            let to = to.wrapping_add(first - columns.start);
            // SAFETY: passed on from the caller: the columns begin there.
            unsafe { part.transpose(simd, 0..rows.len(), |_| 1.0, to, width) }
        }
    }
}

/// Packs a panel. `to` must hold zeros, because padding is not written.
pub(super) struct PackPlain<'a> {
    pub(super) columns: ScaledColumns<'a>,
    pub(super) panel: Panel,
    pub(super) to: &'a mut [f32],
}

impl Kernel for PackPlain<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { columns, panel, to } = self;
        let part = panel.first..panel.first + panel.columns;
        for start in (0..panel.depth).step_by(RUN) {
            let rows = start..panel.depth.min(start + RUN);
            let to = to[start * panel.width..].as_mut_ptr();
            // SAFETY: the rest of the panel has a row of its width for each `k`.
            unsafe { columns.transpose(simd, part.clone(), rows, to, panel.width) }
        }
    }
}

/// Packs seven blocks for a pair of panels. Each is packed as a panel of half the depth.
pub(super) struct PackStrassen<'a> {
    pub(super) columns: ScaledColumns<'a>,
    /// The pair as one panel. None of it is padding.
    pub(super) pair: Panel,
    pub(super) to: &'a mut [f32],
}

/// Values that are combined at a time. The vectors of every instruction set are multiples.
const TOGETHER: usize = 4;

impl Kernel for PackStrassen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { columns, pair, to } = self;
        let (width, half) = (pair.width / 2, pair.depth / 2);
        let part = pair.first..pair.first + pair.width;
        // Rows of a run of `k` in the upper and in the lower half of the matrix.
        let mut upper = vec![0.0; RUN * pair.width];
        let mut lower = upper.clone();
        for start in (0..half).step_by(RUN) {
            let run = start..half.min(start + RUN);
            for (offset, rows) in [(0, &mut upper), (half, &mut lower)] {
                let run = run.start + offset..run.end + offset;
                let to = rows.as_mut_ptr();
                // SAFETY: there is room for as many rows of the pair's width.
                unsafe { columns.transpose(simd, part.clone(), run, to, pair.width) }
            }
            let rows = upper.chunks(pair.width).zip(lower.chunks(pair.width));
            for (k, (upper, lower)) in run.zip(rows) {
                let quarters = [upper, lower].map(|row| row.split_at(width));
                combine(quarters, half * width, &mut to[k * width..]);
            }
        }
    }
}

/// The values of the seven blocks, of which each is `block` values after the one before.
#[inline(always)]
fn combine(quarters: [(&[f32], &[f32]); 2], block: usize, to: &mut [f32]) {
    let [(b11, b12), (b21, b22)] = quarters.map(|(left, right)| {
        let (left, _) = left.as_chunks::<TOGETHER>();
        let (right, _) = right.as_chunks::<TOGETHER>();
        (left, right)
    });
    for (index, (((b11, b12), b21), b22)) in b11.iter().zip(b12).zip(b21).zip(b22).enumerate() {
        let mut results = [[0.0; TOGETHER]; strassen::PRODUCTS];
        for lane in 0..TOGETHER {
            let of = strassen::weights([b11[lane], b12[lane], b21[lane], b22[lane]]);
            for (result, value) in results.iter_mut().zip(of) {
                result[lane] = value;
            }
        }
        for (number, result) in results.iter().enumerate() {
            to[number * block + index * TOGETHER..][..TOGETHER].copy_from_slice(result);
        }
    }
}
