//! Depthwise convolution, alone or followed by the pointwise one that reads it, band by band: the
//! depthwise result of a few rows stays in the L2 cache until it is read.

use std::ops::Range;

use super::convolution::MOST_TAPS;
use super::map::Map;
use super::matrix::{LARGEST_TILE, Matrix, Tile, Tiles};
use super::run::{Run, share};
use super::strassen::{self, Scheme};
use crate::geometry::ConvSize;
use crate::simd::{Simd, depthwise};

/// Rows of input that are asked for ahead.
const MOST_AHEAD: usize = 2;

/// A depthwise convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depthwise {
    pub(super) input: Map,
    pub(super) size: ConvSize,
    /// Place of the packed weights.
    pub(super) weights: usize,
    pub(super) channels: usize,
    pub(super) bounds: (f32, f32),
}

impl Depthwise {
    /// Output row `y`, of some vectors of channels; pixels go to `output`, `step` values apart.
    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        y: usize,
        vectors: &Range<usize>,
        output: *mut f32,
        step: usize,
    ) {
        let Self { input, size, .. } = self;
        let channel = vectors.start * S::LANES;
        let taps = size.rows.kernel * size.columns.kernel;
        let mut rows = [std::ptr::null(); MOST_TAPS];
        let rows = &mut rows[..size.rows.kernel];
        for (ky, row) in rows.iter_mut().enumerate() {
            *row = run
                .input_row(input, size.rows.source(y, ky))
                .wrapping_add(channel);
        }
        // The rows that are new to the window of the next output row.
        let mut ahead = [std::ptr::null(); MOST_AHEAD];
        let new = size.rows.stride.min(MOST_AHEAD);
        let last = size.rows.source(y, size.rows.kernel - 1);
        for (index, row) in ahead[..new].iter_mut().enumerate() {
            let next = last.map(|last| (last + 1 + index).min(size.rows.input - 1));
            *row = run.input_row(input, next).wrapping_add(channel);
        }
        let row = depthwise::Row {
            rows,
            ahead: &ahead[..new],
            pixel: input.pixel,
            taps: size.columns.kernel,
            tap_step: size.columns.dilation * input.pixel,
            column_step: size.columns.stride * input.pixel,
            weights: run.weights(self.weights + channel * (taps + 1)),
            vectors: vectors.len(),
            columns: size.columns.output,
            bounds: self.bounds,
            output: output.wrapping_add(channel),
            output_step: step,
        };
        // SAFETY: the rows lie in the input map and its zeros or in the row of zeros, which
        // `build` made large enough; the output row's channels are this thread's.
        unsafe { depthwise::row(simd, &row) }
    }

    /// The thread's rows, into a map.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, run: &Run<'_>, output: &Map, thread: usize) {
        let rows = share(output.height, thread, run.threads);
        run.zero_columns(output, rows.clone());
        let vectors = 0..self.channels.div_ceil(S::LANES);
        for y in rows {
            self.row(
                simd,
                run,
                y,
                &vectors,
                run.pointer(output.at(y, 0)),
                output.pixel,
            );
        }
    }
}

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
        let vectors = self.depthwise.channels.div_ceil(S::LANES);
        match self.matrix.scheme {
            Scheme::Plain => {
                let vectors = share(vectors, part.0, part.1);
                self.depthwise_vectors(simd, run, rows, scratch, &vectors);
            }
            Scheme::Strassen => {
                // Sums are of both halves of the channels; they are made while the pixels are in
                // L1.
                let first = share(vectors / 2, part.0, part.1);
                let second = first.start + vectors / 2..first.end + vectors / 2;
                let band = self.band(run, rows, scratch, 0);
                let pixels = self.unit * self.matrix.output.width;
                for (index, start) in rows.clone().step_by(self.unit).enumerate() {
                    let rows = start..rows.end.min(start + self.unit);
                    let scratch = scratch.wrapping_add(index * pixels * self.matrix.pixel);
                    self.depthwise_vectors(simd, run, &rows, scratch, &first);
                    self.depthwise_vectors(simd, run, &rows, scratch, &second);
                    let pairs = index * pixels / 2..(index + 1) * pixels / 2;
                    // SAFETY: the pixels' channels were written just now, by this thread.
                    unsafe { band.add_pixels(simd, pairs, &first) }
                }
            }
        }
    }

    #[inline(always)]
    fn depthwise_vectors<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        rows: &Range<usize>,
        scratch: *mut f32,
        vectors: &Range<usize>,
    ) {
        let pixel = self.matrix.pixel;
        let width = self.depthwise.size.columns.output;
        for (index, y) in rows.clone().enumerate() {
            let output = scratch.wrapping_add(index * width * pixel);
            self.depthwise.row(simd, run, y, vectors, output, pixel);
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
            depth,
            ..
        } = &self.matrix;
        let tiles = Tiles::new(rows.len() * output.width, S::TILE);
        for panel in panels {
            for index in 0..tiles.count {
                let (first, pixels) = tiles.get(index);
                let mut offsets = [0; LARGEST_TILE];
                let (mut y, mut x) = (rows.start + first / output.width, first % output.width);
                for offset in &mut offsets[..pixels] {
                    *offset = output.at(y, x);
                    x += 1;
                    if x == output.width {
                        (y, x) = (y + 1, 0);
                    }
                }
                let tile = Tile {
                    source: self.matrix.source(run),
                    panel,
                    segments: &[scratch.wrapping_add(first * pixel)],
                    length: *depth,
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
