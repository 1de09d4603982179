//! Depthwise convolution and the pointwise one that reads it, band by band: the depthwise result
//! of a few rows stays in the L2 cache until it is read.

use std::ops::Range;

use super::depthwise::Depthwise;
use super::matrix::{LARGEST_TILE, Matrix, Tile, Tiles};
use super::run::{Run, share};
use super::strassen::{self, Scheme};
use crate::simd::Simd;

/// How threads share a separable step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Each thread has its own rows, from the depthwise input to the pointwise output.
    Rows,
    /// Each thread has its own channels of the depthwise result, and then its own panels.
    Channels,
}

/// A depthwise convolution and the pointwise one that reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Separable {
    pub(super) depthwise: Depthwise,
    pub(super) matrix: Matrix,
    pub(super) split: Split,
    /// Rows that stay together.
    pub(super) unit: usize,
    /// Rows of the depthwise result that are made and read before the next.
    pub(super) band: usize,
    /// Place of the depthwise result, where its sums are from there, and values of both for each
    /// thread.
    pub(super) scratch: usize,
    pub(super) sums: usize,
    pub(super) scratch_stride: usize,
}

impl Separable {
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, run: &Run<'_>, thread: usize) {
        let output = &self.matrix.output;
        let units = share(output.height.div_ceil(self.unit), thread, run.threads);
        let rows = units.start * self.unit..output.height.min(units.end * self.unit);
        run.zero_columns(output, rows.clone());
        match self.split {
            Split::Rows => {
                let scratch = run.pointer(self.scratch + thread * self.scratch_stride);
                let mut first = rows.start;
                while first < rows.end {
                    let band = first..rows.end.min(first + self.band);
                    self.depthwise_rows(simd, run, &band, scratch, (0, 1));
                    self.pointwise_rows(simd, run, &band, scratch, (0, 1), thread);
                    first = band.end;
                }
            }
            Split::Channels => {
                let scratch = run.pointer(self.scratch);
                let rows = 0..output.height;
                let part = (thread, run.threads);
                self.depthwise_rows(simd, run, &rows, scratch, part);
                run.barrier.wait();
                self.pointwise_rows(simd, run, &rows, scratch, part, thread);
            }
        }
    }

    /// The depthwise result of some rows, and its sums where the product needs them: part `part.0`
    /// of `part.1` of the channels.
    #[inline(always)]
    fn depthwise_rows<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        rows: &Range<usize>,
        scratch: *mut f32,
        part: (usize, usize),
    ) {
        let depthwise = &self.depthwise;
        let (pixel, width) = (self.matrix.pixel, self.matrix.output.width);
        let vectors = depthwise.channels.div_ceil(S::LANES);
        match self.matrix.scheme {
            Scheme::Plain => {
                for vectors in depthwise.blocks::<S>(share(vectors, part.0, part.1), 1) {
                    depthwise.rows(simd, run, rows, &vectors, scratch, pixel);
                }
            }
            Scheme::Strassen => {
                // Sums are of both halves of the channels; they are made while the pixels are in
                // L1.
                let band = self.band(run, rows, scratch, 0);
                let pixels = self.unit * width;
                for first in depthwise.blocks::<S>(share(vectors / 2, part.0, part.1), 2) {
                    let second = first.start + vectors / 2..first.end + vectors / 2;
                    for (index, start) in rows.clone().step_by(self.unit).enumerate() {
                        let rows = start..rows.end.min(start + self.unit);
                        let output = scratch.wrapping_add(index * pixels * pixel);
                        depthwise.rows(simd, run, &rows, &first, output, pixel);
                        depthwise.rows(simd, run, &rows, &second, output, pixel);
                        let pairs = index * pixels / 2..(index + 1) * pixels / 2;
                        // SAFETY: the pixels' channels were written just now, by this thread.
                        unsafe { band.add_pixels(simd, pairs, &first) }
                    }
                }
            }
        }
    }

    /// A band as Strassen's scheme sees it.
    #[inline(always)]
    fn band(
        &self,
        run: &Run<'_>,
        rows: &Range<usize>,
        scratch: *mut f32,
        thread: usize,
    ) -> strassen::Band<'_> {
        strassen::Band {
            matrix: &self.matrix,
            pixels: rows.len() * self.matrix.output.width,
            input: scratch,
            sums: scratch.wrapping_add(self.sums),
            partial: run.pointer(run.plan.partial + thread * run.plan.partial_stride),
        }
    }

    /// The product of some rows: part `part.0` of `part.1` of the panels.
    #[inline(always)]
    fn pointwise_rows<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        rows: &Range<usize>,
        scratch: *mut f32,
        part: (usize, usize),
        thread: usize,
    ) {
        let panels = share(self.matrix.panels(), part.0, part.1);
        match self.matrix.scheme {
            Scheme::Plain => self.plain_rows(simd, run, rows, scratch, panels),
            // SAFETY: the depthwise result of these rows and its sums are complete; the output's
            // rows or panels are this thread's.
            Scheme::Strassen => unsafe {
                let band = self.band(run, rows, scratch, thread);
                band.multiply(simd, run, rows.start, panels);
            },
        }
    }

    #[inline(always)]
    fn plain_rows<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        rows: &Range<usize>,
        scratch: *const f32,
        panels: Range<usize>,
    ) {
        let Matrix {
            output,
            pixel,
            layout,
            ..
        } = &self.matrix;
        let tiles = Tiles::new(rows.len() * output.width, S::TILE);
        for panel in panels {
            for index in 0..tiles.count {
                let (first, pixels) = tiles.get(index);
                let mut offsets = [0; LARGEST_TILE];
                let places = output.places(rows.start, first);
                for (offset, place) in offsets[..pixels].iter_mut().zip(places) {
                    *offset = place;
                }
                let tile = Tile {
                    source: self.matrix.source(run),
                    panel,
                    segments: &[scratch.wrapping_add(first * pixel)],
                    length: layout.depth(),
                    step: *pixel,
                    output: run.pointer(0),
                    offsets: &offsets[..pixels],
                    turn: (index, tiles.count),
                };
                // SAFETY: the depthwise result of these rows is in the scratch; the output rows
                // or panels are this thread's.
                unsafe { self.matrix.tile(simd, &tile) }
            }
        }
    }
}
