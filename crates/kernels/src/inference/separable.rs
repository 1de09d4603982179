//! Depthwise convolution and the pointwise one that reads it, band by band. The depthwise result of
//! a few rows stays in the L2 cache until it is read.

use std::ops::Range;

use super::context::Context;
use super::depthwise::Depthwise;
use super::matrix::{MatrixProduct, Pixels};
use super::packed::Scheme;
use super::strassen;
use crate::partition::part;
use crate::simd::ahead::Region;
use crate::simd::team::Turn;
use crate::simd::{Simd, tile};

/// Weights that stay in L1 beside a tile: 16 KiB. At 112x112, 32 to 64 channels so take 1 % off the
/// network at 1.0/224 on a Xeon.
const NEAR_WEIGHTS: usize = 4 << 10;

/// How chunks divide a separable operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Each chunk has its own rows, from the depthwise input to the pointwise output.
    Rows,
    /// Two operations: each chunk has its own channels of the depthwise result, and then its own
    /// panels of the pointwise one.
    Channels,
}

/// A depthwise convolution and the pointwise one that reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Separable {
    pub(super) depthwise: Depthwise,
    pub(super) matrix: MatrixProduct,
    pub(super) split: Split,
    /// Number of rows that must not be separated.
    pub(super) unit: usize,
    /// Number of rows of the depthwise result that are computed and read before the next ones.
    pub(super) band: usize,
    /// Offset in bytes of the depthwise result.
    pub(super) scratch: usize,
    /// Bytes from there to its sums, and from a thread's scratch to the next one's.
    pub(super) sums: usize,
    pub(super) scratch_stride: usize,
}

impl Separable {
    /// Computes a chunk of the rows, band by band ([`Split::Rows`]).
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, context: &Context<'_>, turn: Turn) {
        let output = &self.matrix.output;
        let units = turn.share(output.height.div_ceil(self.unit));
        let rows = units.start * self.unit..output.height.min(units.end * self.unit);
        context.zero_columns(output, rows.clone());
        let scratch = context.pointer(self.scratch + turn.worker * self.scratch_stride);
        let panels = 0..self.matrix.panels();
        let mut first = rows.start;
        while first < rows.end {
            let band = first..rows.end.min(first + self.band);
            self.depthwise_rows(simd, context, &band, scratch, (0, 1));
            let next = band.end..rows.end.min(band.end + self.band);
            let product = Product {
                rows: &band,
                panels: panels.clone(),
                scratch,
                next: self.input_of(context, &next),
                worker: turn.worker,
            };
            self.pointwise_rows(simd, context, product);
            first = band.end;
        }
    }

    /// Computes a chunk of the channels of the depthwise result ([`Split::Channels`]).
    #[inline(always)]
    pub(super) fn run_depthwise<S: Simd>(&self, simd: S, context: &Context<'_>, turn: Turn) {
        let output = &self.matrix.output;
        context.zero_columns(output, turn.share(output.height));
        let share = (turn.chunk, turn.chunks);
        let scratch = context.pointer(self.scratch);
        self.depthwise_rows(simd, context, &(0..output.height), scratch, share);
    }

    /// Computes a chunk of the panels of the product ([`Split::Channels`]).
    #[inline(always)]
    pub(super) fn run_pointwise<S: Simd>(&self, simd: S, context: &Context<'_>, turn: Turn) {
        let panels = turn.share(self.matrix.panels());
        let scratch = context.pointer(self.scratch);
        let rows = 0..self.matrix.output.height;
        let product = Product {
            rows: &rows,
            panels,
            scratch,
            next: self.input_of(context, &(0..0)),
            worker: turn.worker,
        };
        self.pointwise_rows(simd, context, product);
    }

    /// The input rows that some output rows are the first to read.
    #[inline(always)]
    fn input_of(&self, context: &Context<'_>, rows: &Range<usize>) -> Region {
        let input = &self.depthwise.input;
        let [start, end] =
            [rows.start, rows.end].map(|rows| input.row_at(self.depthwise.input_rows(rows)));
        Region::new(context.pointer::<u8>(start), end - start)
    }

    /// Computes the depthwise result of some rows, and its sums where the product needs them, for
    /// part `share.0` of `share.1` of the channels.
    #[inline(always)]
    fn depthwise_rows<S: Simd>(
        &self,
        simd: S,
        context: &Context<'_>,
        rows: &Range<usize>,
        scratch: *mut f32,
        share: (usize, usize),
    ) {
        let depthwise = &self.depthwise;
        let (pixel, width) = (self.matrix.pixel, self.matrix.output.width);
        let vectors = depthwise.channels.div_ceil(S::LANES);
        match self.matrix.scheme {
            Scheme::Plain => {
                for vectors in depthwise.blocks::<S>(part(vectors, share.0, share.1), 1) {
                    depthwise.rows(simd, context, rows, &vectors, scratch, pixel);
                }
            }
            Scheme::Strassen => {
                // A sum combines both halves of the channels. The sums are computed while the
                // pixels are in L1.
                let band = self.band(context, rows, scratch, 0);
                let pixels = self.unit * width;
                for first in depthwise.blocks::<S>(part(vectors / 2, share.0, share.1), 2) {
                    let second = first.start + vectors / 2..first.end + vectors / 2;
                    for (index, start) in rows.clone().step_by(self.unit).enumerate() {
                        let rows = start..rows.end.min(start + self.unit);
                        let output = scratch.wrapping_add(index * pixels * pixel);
                        depthwise.rows(simd, context, &rows, &first, output, pixel);
                        depthwise.rows(simd, context, &rows, &second, output, pixel);
                        let pairs = index * pixels / 2..(index + 1) * pixels / 2;
                        // SAFETY: this chunk has just written these channels of the pixels.
                        unsafe { band.add_pixels(simd, pairs, &first) }
                    }
                }
            }
        }
    }

    /// A band for Strassen's scheme.
    #[inline(always)]
    fn band(
        &self,
        context: &Context<'_>,
        rows: &Range<usize>,
        scratch: *mut f32,
        worker: usize,
    ) -> strassen::Band<'_> {
        strassen::Band {
            matrix: &self.matrix,
            pixels: rows.len() * self.matrix.output.width,
            input: scratch,
            sums: scratch.wrapping_byte_add(self.sums),
            partial: context
                .pointer(context.offsets.partial + worker * context.offsets.partial_stride),
        }
    }

    /// Computes some panels of the product of some rows.
    #[inline(always)]
    fn pointwise_rows<S: Simd>(&self, simd: S, context: &Context<'_>, product: Product<'_>) {
        match self.matrix.scheme {
            Scheme::Plain => self.plain_rows(simd, context, product),
            // SAFETY: the depthwise result of these rows and its sums are complete. These rows or
            // panels of the output are this chunk's.
            Scheme::Strassen => unsafe {
                let Product {
                    rows,
                    panels,
                    scratch,
                    next,
                    worker,
                } = product;
                let band = self.band(context, rows, scratch, worker);
                band.multiply(simd, context, rows.start, panels, next);
            },
        }
    }

    #[inline(always)]
    fn plain_rows<S: Simd>(&self, simd: S, context: &Context<'_>, product: Product<'_>) {
        let MatrixProduct {
            output,
            pixel,
            layout,
            ..
        } = &self.matrix;
        let pixels = product.rows.len() * output.width;
        let tiles = tile::count::<S>(pixels);
        let source = self.matrix.source(context);
        let ahead = product
            .next
            .divide(product.panels.len() * tiles, layout.depth());
        // If all panels are small, each tile is multiplied by all of them while its pixels are in L1.
        let weights = product.panels.len() * layout.depth() * S::PANEL * S::LANES;
        let together = weights <= NEAR_WEIGHTS;
        let (mut first, mut before) = (product.panels.start, 0);
        while first < product.panels.end {
            let end = if together {
                product.panels.end
            } else {
                first + 1
            };
            let panels = self.matrix.panels_of(source, first..end, tiles);
            let pixels = Pixels {
                segments: &[product.scratch.cast_const()],
                length: layout.depth(),
                stride: *pixel,
                count: pixels,
                output: output.cursor(context.pointer(0), product.rows.start),
                tiles: 0,
                ahead: ahead.starting_at(before),
            };
            // SAFETY: the depthwise result of these rows is in the scratch. These rows or panels of
            // the output are this chunk's.
            unsafe { self.matrix.multiply(simd, &panels, &pixels) }
            first += panels.count();
            before += panels.count() * tiles;
        }
    }
}

/// Some panels of the product of some rows, whose depthwise result is in the scratch.
struct Product<'a> {
    rows: &'a Range<usize>,
    panels: Range<usize>,
    scratch: *mut f32,
    /// What is read after them.
    next: Region,
    worker: usize,
}
