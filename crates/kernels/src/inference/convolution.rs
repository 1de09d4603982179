//! Full convolution: a matrix product whose input rows are the windows. It is computed one output
//! row at a time, or some rows together where weights are more than a near cache holds.

use std::ops::Range;

use super::context::Context;
use super::feature_map::{FeatureMap, MOST_TAPS};
use super::matrix::{MatrixProduct, Pixels, Source};
use crate::geometry::ConvSize;
use crate::simd::ahead::Ahead;
use crate::simd::cursor::Cursor;
use crate::simd::team::Turn;
use crate::simd::{Simd, tile};

/// Values that stay in the L2 cache: half of a small one (512 KiB).
const NEAR_VALUES: usize = 64 << 10;

/// A full convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    input: FeatureMap,
    size: ConvSize,
    pub(super) matrix: MatrixProduct,
    /// Whether it reads the image, that is, whether it is the first layer.
    is_first: bool,
    /// Rows that are computed by a panel of weights before the next panel.
    band: usize,
    /// Whether chunks have their own panels, because there are more weights than pixels. Otherwise
    /// they have their own rows.
    pub(super) by_panels: bool,
}

impl Convolution {
    pub(super) fn new(
        input: FeatureMap,
        size: ConvSize,
        matrix: MatrixProduct,
        is_first: bool,
    ) -> Self {
        let weights = matrix.layout.len();
        let row = size.rows.stride * input.row();
        Self {
            input,
            size,
            matrix,
            is_first,
            band: match weights <= NEAR_VALUES {
                true => 1,
                false => (NEAR_VALUES / row.max(1)).max(1),
            },
            by_panels: weights > input.height * input.row(),
        }
    }

    /// Computes a chunk's rows or panels.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, context: &Context<'_>, turn: Turn) {
        let (output, panels) = (&self.matrix.output, self.matrix.panels());
        context.zero_columns(output, turn.share(output.height));
        let (rows, panels) = match self.by_panels {
            true => (0..output.height, turn.share(panels)),
            false => (turn.share(output.height), 0..panels),
        };
        for start in rows.clone().step_by(self.band) {
            let band = start..rows.end.min(start + self.band);
            self.rows(simd, context, band, panels.clone());
        }
    }

    /// Computes some panels of a band.
    #[inline(always)]
    fn rows<S: Simd>(
        &self,
        simd: S,
        context: &Context<'_>,
        band: Range<usize>,
        panels: Range<usize>,
    ) {
        let Self {
            input,
            size,
            matrix,
            is_first,
            ..
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
        // The segments of output column 0.
        let mut segments = [std::ptr::null(); MOST_TAPS];
        let segments = &mut segments[..taps_y * per_row];
        let tiles = tile::count::<S>(output.width);
        let length = matrix.layout.depth() / segments.len();
        for panel in panels {
            let panel = matrix.panels_of(source, panel..panel + 1, band.len() * tiles);
            for (order, y) in band.clone().enumerate() {
                for (index, segment) in segments.iter_mut().enumerate() {
                    let (ky, kx) = (index / per_row, index % per_row);
                    let row = match size.rows.source(y, ky) {
                        Some(y) => context.input_row(input, Some(y)),
                        None => beyond,
                    };
                    *segment = row.wrapping_add(kx * size.columns.dilation * input.pixel);
                }
                let pixels = Pixels {
                    segments,
                    length,
                    stride: size.columns.stride * input.pixel,
                    count: output.width,
                    output: Cursor::of_row(context.pointer(output.at(y, 0)), output.pixel),
                    tiles: order * tiles,
                    ahead: Ahead::stay(source.weights),
                };
                // SAFETY: the segments are in the input map with its padding, or in the row of
                // padding. The schedule made these large enough. These channels of the output row
                // are this chunk's.
                unsafe { matrix.multiply(simd, &panel, &pixels) }
            }
        }
    }
}
