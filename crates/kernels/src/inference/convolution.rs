//! Full convolution: a matrix product whose input pixels are windows, one output row at a time.

use super::map::Map;
use super::matrix::{LARGEST_TILE, Matrix, Source, Tile, Tiles};
use super::run::{Run, share};
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
    /// Whether it reads the image.
    pub(super) is_first: bool,
}

impl Convolution {
    /// The thread's rows.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, run: &Run<'_>, thread: usize) {
        let Self {
            input,
            size,
            matrix,
            is_first,
        } = self;
        let output = &matrix.output;
        let (source, beyond) = match run.frames {
            Some(frames) if *is_first => {
                let (weights, bias) = (frames.weights(), frames.bias());
                (Source { weights, bias }, frames.padding().as_ptr())
            }
            _ => (matrix.source(run), run.input_row(input, None)),
        };
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
                        let row = match size.rows.source(y, ky) {
                            Some(y) => run.input_row(input, Some(y)),
                            None => beyond,
                        };
                        for kx in 0..per_row {
                            let column = first * size.columns.stride + kx * size.columns.dilation;
                            segments[ky * per_row + kx] = row.wrapping_add(column * input.pixel);
                        }
                    }
                    let tile = Tile {
                        source,
                        panel,
                        segments,
                        length: matrix.layout.depth() / segments.len(),
                        step: size.columns.stride * input.pixel,
                        output: run.pointer(output.at(y, first)),
                        offsets: &offsets[..pixels],
                        turn: (index, tiles.count),
                    };
                    // SAFETY: the segments lie in the input map and its padding or in the row of
                    // padding, which are as long as `build` found; the output row is this thread's.
                    unsafe { matrix.tile(simd, &tile) }
                }
            }
        }
    }
}
