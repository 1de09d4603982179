//! Full convolution: a matrix product whose input pixels are windows, one output row at a time.

use super::map::Map;
use super::matrix::{LARGEST_TILE, Matrix, Tile, Tiles};
use super::program::{Run, share};
use crate::geometry::ConvSize;
use crate::simd::Simd;

/// More segments than any kernel in use has: 7x7. `build` refuses larger ones.
pub(super) const MOST_TAPS: usize = 49;

/// A full convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    pub(super) input: Map,
    pub(super) size: ConvSize,
    pub(super) matrix: Matrix,
}

impl Convolution {
    /// The thread's rows.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, run: &Run<'_>, thread: usize) {
        let Self {
            input,
            size,
            matrix,
        } = self;
        let output = &matrix.output;
        let (taps_y, taps_x) = (size.rows.kernel, size.columns.kernel);
        // Where pixels touch, a row of taps is one segment.
        let joined = input.pixel == input.channels && size.columns.dilation == 1;
        let per_row = if joined { 1 } else { taps_x };
        let mut segments = [std::ptr::null(); MOST_TAPS];
        let segments = &mut segments[..taps_y * per_row];
        let offsets: [usize; LARGEST_TILE] = std::array::from_fn(|i| i * output.pixel);
        let tiles = Tiles::new(output.width, S::TILE);
        let rows = share(output.height, thread, run.threads);
        run.zero_columns(output, rows.clone());
        for y in rows {
            for panel in 0..matrix.panels() {
                for index in 0..tiles.count {
                    let (first, pixels) = tiles.get(index);
                    for ky in 0..taps_y {
                        let row = run.input_row(input, size.rows.source(y, ky));
                        for kx in 0..per_row {
                            let column = first * size.columns.stride + kx * size.columns.dilation;
                            segments[ky * per_row + kx] = row.wrapping_add(column * input.pixel);
                        }
                    }
                    let tile = Tile {
                        panel,
                        segments,
                        length: matrix.depth / segments.len(),
                        step: size.columns.stride * input.pixel,
                        output: run.pointer(output.at(y, first)),
                        offsets: &offsets[..pixels],
                        turn: (index, tiles.count),
                    };
                    // SAFETY: the segments lie in the input map and its zeros or in the row of
                    // zeros, which `build` made large enough; the output row is this thread's.
                    unsafe { matrix.tile(simd, run, &tile) }
                }
            }
        }
    }
}
