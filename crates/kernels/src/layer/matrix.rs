//! Matrix products over blocks of pixels: rows times packed panels, and sums of outer products.
//!
//! ```text
//! product  output[p, o] = clamp(bias[o] + sum over k of input[p, k] * w[k, o])
//! outer    sums[k, o]  += sum over p of left[p, k] * right[p, o]
//! ```

use std::ops::Range;

use crate::panels::PanelLayout;
use crate::partition::{part, parts};
use crate::simd::{Simd, outer, tile};

/// Most pixels of a block. More of them would make the outer products' loads and stores of sums
/// rarer still, but they are below a fiftieth of the work already.
pub(crate) const LARGEST_BLOCK: usize = 252;

/// At least the tile of every instruction set.
const LARGEST_TILE: usize = 16;

/// A block of rows times packed panels.
pub(crate) struct Product<'a> {
    /// First value of each segment of the first row, values of a segment, and from row to row.
    pub(crate) input: &'a [*const f32],
    pub(crate) length: usize,
    pub(crate) stride: usize,
    /// Packed weights, and which of their panels to multiply by.
    pub(crate) layout: PanelLayout,
    pub(crate) panels: Range<usize>,
    pub(crate) weights: *const f32,
    /// What is read after these panels, to be asked for meanwhile; `None` is what follows them.
    pub(crate) next: Option<*const f32>,
    /// One value a column; `None` is 0.
    pub(crate) bias: Option<*const f32>,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Column 0 of the first row, and from row to row.
    pub(crate) output: *mut f32,
    pub(crate) output_stride: usize,
}

/// Bounds that nothing reaches.
pub(crate) const UNBOUNDED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

impl Product<'_> {
    /// # Safety
    /// All values that sizes and strides describe must be readable, the output writable and
    /// nobody else's.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, simd: S, rows: usize) {
        // A panel has at most this many lanes on every instruction set.
        const ZEROS: [f32; 64] = [0.0; 64];
        let tiles = parts(rows, S::TILE, 1);
        let mut segments = self.input.to_vec();
        for index in self.panels.clone() {
            let panel = self.layout.panel(index);
            let vectors = panel.width / S::LANES;
            let weights = self.weights.wrapping_add(panel.offset());
            for tile in 0..tiles {
                let tile_rows = part(rows, tile, tiles);
                for (segment, input) in segments.iter_mut().zip(self.input) {
                    *segment = input.wrapping_add(tile_rows.start * self.stride);
                }
                let mut offsets = [0; LARGEST_TILE];
                for (offset, row) in offsets.iter_mut().zip(tile_rows.clone()) {
                    *offset = row * self.output_stride;
                }
                // The panel after this one, in equal parts by the tiles.
                let next = self.next.filter(|_| index + 1 == self.panels.end);
                let next = next.unwrap_or(weights.wrapping_add(panel.len()));
                let ahead = next.wrapping_add(panel.len() * tile / tiles);
                let job = tile::Panel {
                    segments: &segments,
                    length: self.length,
                    stride: self.stride,
                    weights,
                    bias: self
                        .bias
                        .map_or(ZEROS.as_ptr(), |bias| bias.wrapping_add(panel.first)),
                    bounds: self.bounds,
                    output: self.output.wrapping_add(panel.first),
                    prefetch: (ahead, panel.width / tiles),
                };
                let offsets = &offsets[..tile_rows.len()];
                // SAFETY: passed on from the caller.
                unsafe { tile::run(simd, &job, vectors, offsets) }
            }
        }
    }
}

/// A block of pixels, by vectors ([`super::Target::by_vectors`]), of which outer products are
/// summed. The sums lie as packed weights do.
pub(crate) struct Outer {
    pub(crate) left: *const f32,
    pub(crate) right: *const f32,
    /// Pixels, and how many there is room for.
    pub(crate) count: usize,
    pub(crate) block: usize,
    /// Of the sums: columns are `right`'s channels, `k` are all lanes of `left`.
    pub(crate) layout: PanelLayout,
    pub(crate) panels: Range<usize>,
    pub(crate) sums: *mut f32,
    /// Whether to add to what is there.
    pub(crate) add: bool,
}

impl Outer {
    /// # Safety
    /// All values that the sizes describe must be readable, the sums of the panels writable and
    /// nobody else's.
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
            for k in (0..panel.depth).step_by(S::OUTER_ROWS) {
                let job = outer::Outer {
                    left: self.left.wrapping_add(k / S::LANES * vector + k % S::LANES),
                    left_stride: S::LANES,
                    right: &columns[..size],
                    right_stride: S::LANES,
                    count: self.count,
                    sums: sums.wrapping_add(k * panel.width),
                    row: panel.width,
                    add: self.add,
                };
                // SAFETY: passed on from the caller.
                unsafe { outer::run(simd, &job) }
            }
        }
    }
}
