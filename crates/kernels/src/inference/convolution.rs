//! Full convolution: a matrix product whose input rows are the windows. It is computed one output
//! row at a time.

use super::context::Context;
use super::feature_map::{FeatureMap, MOST_TAPS};
use super::matrix::{LARGEST_TILE, MatrixProduct, Source, Tile};
use crate::geometry::ConvSize;
use crate::partition::{part, parts};
use crate::simd::Simd;
use crate::simd::team::Turn;

/// A full convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    pub(super) input: FeatureMap,
    pub(super) size: ConvSize,
    pub(super) matrix: MatrixProduct,
    /// Whether it reads the image, that is, whether it is the first layer.
    pub(super) is_first: bool,
}

impl Convolution {
    /// Computes a chunk's rows.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, context: &Context<'_>, turn: Turn) {
        let Self {
            input,
            size,
            matrix,
            is_first,
        } = self;
        let output = &matrix.output;
        let (source, beyond) = match context.frames {
            Some(frames) if *is_first => {
                let (weights, bias) = (frames.weights(), frames.bias());
                (Source { weights, bias }, frames.padding().as_ptr())
            }
            _ => (matrix.source(context), context.input_row(input, None)),
        };
        let (taps_y, taps_x) = (size.rows.kernel, size.columns.kernel);
        // If pixels are stored without gaps, a row of taps is one segment.
        let joined = input.pixel == input.channels && size.columns.dilation == 1;
        let per_row = if joined { 1 } else { taps_x };
        let mut segments = [std::ptr::null(); MOST_TAPS];
        let segments = &mut segments[..taps_y * per_row];
        let offsets: [usize; LARGEST_TILE] = std::array::from_fn(|i| i * output.pixel);
        let tiles = parts(output.width, S::TILE, 1);
        let rows = turn.share(output.height);
        context.zero_columns(output, rows.clone());
        for y in rows {
            for panel in 0..matrix.panels() {
                for index in 0..tiles {
                    let pixels = part(output.width, index, tiles);
                    for ky in 0..taps_y {
                        let row = match size.rows.source(y, ky) {
                            Some(y) => context.input_row(input, Some(y)),
                            None => beyond,
                        };
                        for kx in 0..per_row {
                            let column =
                                pixels.start * size.columns.stride + kx * size.columns.dilation;
                            segments[ky * per_row + kx] = row.wrapping_add(column * input.pixel);
                        }
                    }
                    let tile = Tile {
                        source,
                        panel,
                        segments,
                        length: matrix.layout.depth() / segments.len(),
                        stride: size.columns.stride * input.pixel,
                        output: context.pointer(output.at(y, pixels.start)),
                        offsets: &offsets[..pixels.len()],
                        turn: (index, tiles),
                    };
                    // SAFETY: the segments are in the input map with its padding, or in the row of
                    // padding. The schedule made these large enough. The output row is this
                    // chunk's.
                    unsafe { matrix.tile(simd, &tile) }
                }
            }
        }
    }
}
