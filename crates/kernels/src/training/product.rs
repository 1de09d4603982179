//! Rows times packed panels: how a matrix product is cut into calls of the tile kernel.

use crate::partition::{part, parts};
use crate::simd::{Simd, tile};

/// At least the tile of every instruction set.
const LARGEST_TILE: usize = 16;

/// Most vectors of a map's pixel.
pub(super) const MOST_VECTORS: usize = 1 << 10;

/// A block of rows times packed panels.
pub(super) struct Product<'a> {
    /// First value of each segment of the first row, values of a segment, and from row to row.
    pub(super) input: &'a [*const f32],
    pub(super) length: usize,
    pub(super) step: usize,
    /// `[panels][depth][vectors of the panel][LANES]`.
    pub(super) weights: *const f32,
    /// One value an output channel; `None` is 0.
    pub(super) bias: Option<*const f32>,
    pub(super) depth: usize,
    /// Vectors of an output row.
    pub(super) vectors: usize,
    pub(super) output: *mut f32,
    pub(super) width: usize,
}

impl Product<'_> {
    /// # Safety
    /// All places that the sizes and steps describe must be readable, the output writable and
    /// nobody else's.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, simd: S, rows: usize) {
        // A panel has at most this many lanes on every instruction set.
        const ZEROS: [f32; 64] = [0.0; 64];
        let tiles = parts(rows, S::TILE, 1);
        let mut segments = [std::ptr::null(); MOST_VECTORS];
        let segments = &mut segments[..self.input.len()];
        for first in (0..self.vectors).step_by(S::PANEL) {
            let vectors = S::PANEL.min(self.vectors - first);
            let channel = first * S::LANES;
            let weights = self.weights.wrapping_add(channel * self.depth);
            let values = vectors * S::LANES * self.depth;
            for index in 0..tiles {
                let tile_rows = part(rows, index, tiles);
                for (segment, input) in segments.iter_mut().zip(self.input) {
                    *segment = input.wrapping_add(tile_rows.start * self.step);
                }
                let mut offsets = [0; LARGEST_TILE];
                for (offset, row) in offsets.iter_mut().zip(tile_rows.clone()) {
                    *offset = row * self.width;
                }
                let panel = tile::Panel {
                    segments,
                    length: self.length,
                    step: self.step,
                    weights,
                    bias: self
                        .bias
                        .map_or(ZEROS.as_ptr(), |bias| bias.wrapping_add(channel)),
                    bounds: (f32::NEG_INFINITY, f32::INFINITY),
                    output: self.output.wrapping_add(channel),
                    // The panel after this one, in equal parts by the tiles.
                    prefetch: (
                        weights.wrapping_add(values + values * index / tiles),
                        vectors * S::LANES / tiles,
                    ),
                };
                let offsets = &offsets[..tile_rows.len()];
                // SAFETY: passed on from the caller.
                unsafe { tile::run(simd, &panel, vectors, offsets) }
            }
        }
    }
}
