//! Matrix products over blocks of pixels: rows times packed panels, and sums of outer products.
//!
//! ```text
//! product  output[p, o] = clamp(bias[o] + sum over k of input[p, k] * w[k, o])
//! outer    sums[k, o]  += sum over p of left[p, k] * right[p, o]
//! ```

use std::ops::Range;

use crate::panels::PanelLayout;
use crate::simd::ahead::{Ahead, Region};
use crate::simd::cursor::Cursor;
use crate::simd::{Simd, outer, tile};

/// Most pixels of a block. With more, the outer products would load and store their sums less
/// often, but that is below 2 % of the work already.
pub(crate) const LARGEST_BLOCK: usize = 252;

/// A block of rows times packed panels.
pub(crate) struct Product<'a> {
    /// Start of each segment of the first row.
    pub(crate) input: &'a [*const f32],
    /// Values in a segment.
    pub(crate) length: usize,
    /// Values from a row to the next.
    pub(crate) stride: usize,
    /// Packed weights, and which of their panels to multiply by.
    pub(crate) layout: PanelLayout,
    pub(crate) panels: Range<usize>,
    pub(crate) weights: *const f32,
    /// What is read after these panels, to be prefetched meanwhile; `None` is the memory after
    /// them.
    pub(crate) next: Option<*const f32>,
    /// One value per column; `None` is 0.
    pub(crate) bias: Option<*const f32>,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Where to write column 0 of the first row, and values from a row to the next.
    pub(crate) output: *mut f32,
    pub(crate) output_stride: usize,
}

/// Bounds for no activation.
pub(crate) const UNBOUNDED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

impl Product<'_> {
    /// # Safety
    /// All values that sizes and strides describe must be readable. The output must be writable and
    /// used by no other thread.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, simd: S, rows: usize) {
        // A panel has at most this many lanes on every instruction set.
        const ZEROS: [f32; 64] = [0.0; 64];
        for index in self.panels.clone() {
            let panel = self.layout.panel(index);
            let weights = self.weights.wrapping_add(panel.offset());
            // Each tile prefetches an equal part of the next panel.
            let next = self.next.filter(|_| index + 1 == self.panels.end);
            let next = next.unwrap_or(weights.wrapping_add(panel.len()));
            let next = Region::new(next, panel.len() * size_of::<f32>());
            let block = tile::Block {
                segments: self.input,
                length: self.length,
                stride: self.stride,
                pixels: rows,
                panels: 1,
                vectors: panel.width / S::LANES,
                weights,
                bias: self
                    .bias
                    .map_or(ZEROS.as_ptr(), |bias| bias.wrapping_add(panel.first)),
                bounds: self.bounds,
                output: Cursor::of_row(self.output.wrapping_add(panel.first), self.output_stride),
                ahead: [
                    next.divide(tile::count::<S>(rows), panel.depth),
                    Ahead::stay(weights),
                ],
            };
            // SAFETY: the caller guarantees that all this memory is valid.
            unsafe { tile::run(simd, &block) }
        }
    }
}

/// Sums of outer products over a block of pixels. The pixels are stored by vectors
/// ([`super::Target::by_vectors`]), the sums like packed weights.
pub(crate) struct Outer {
    pub(crate) left: *const f32,
    pub(crate) right: *const f32,
    /// Number of pixels, and the number that the block has room for.
    pub(crate) count: usize,
    pub(crate) block: usize,
    /// Layout of the sums. Columns are the channels of `right`, rows those of `left`.
    pub(crate) layout: PanelLayout,
    pub(crate) rows: OuterRows,
    pub(crate) panels: Range<usize>,
    pub(crate) sums: *mut f32,
    /// Whether to add to the values that are there, or to overwrite them.
    pub(crate) add: bool,
}

/// Which rows of sums are computed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OuterRows {
    /// Those from this one on, which is for the first lane of `left`, to the last.
    From(usize),
    /// As many from this one on as there are columns up to a panel's last. For symmetric sums these
    /// are enough.
    Triangle(usize),
}

impl Outer {
    /// # Safety
    /// All values that the sizes describe must be readable. The sums of the panels must be writable
    /// and used by no other thread.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, simd: S) {
        let vector = self.block * S::LANES;
        for index in self.panels.clone() {
            let panel = self.layout.panel(index);
            let size = panel.width / S::LANES;
            let mut columns = [std::ptr::null(); 4];
            for (j, column) in columns[..size].iter_mut().enumerate() {
                *column = self
                    .right
                    .wrapping_add((panel.first / S::LANES + j) * vector);
            }
            let sums = self.sums.wrapping_add(panel.offset());
            let rows = match self.rows {
                OuterRows::From(first) => first..panel.depth,
                OuterRows::Triangle(first) => first..first + panel.first + panel.width,
            };
            for block in 0..outer::blocks::<S>(rows.len()) {
                let lanes = outer::rows::<S>(rows.len(), block);
                let mut left = [self.left; outer::MOST_ROWS];
                for (left, lane) in left.iter_mut().zip(lanes.clone()) {
                    let offset = lane / S::LANES * vector + lane % S::LANES;
                    *left = left.wrapping_add(offset);
                }
                let job = outer::Outer {
                    left: &left[..lanes.len()],
                    left_stride: S::LANES,
                    right: &columns[..size],
                    right_stride: S::LANES,
                    count: self.count,
                    sums: sums.wrapping_add((rows.start + lanes.start) * panel.width),
                    row: panel.width,
                    add: self.add,
                };
                // SAFETY: the caller guarantees that all this memory is valid.
                unsafe { outer::run(simd, &job) }
            }
        }
    }
}
