//! Depthwise convolution, forward and backward, by bands of rows of one image: the band's
//! activations and gradients lie in scratch with zeros around them, so that there are no edges.
//!
//! ```text
//! forward   z[y, x]  = sum over taps of a[y*s + ky*d - top, x*s + kx*d - left] * w[ky, kx]
//! backward  da[y, x] = sum over taps of dz[(y + top - ky*d) / s, (x + left - kx*d) / s] * w[ky, kx]
//!           dw[ky, kx] = sum over y, x of a[y*s + ky*d - top, x*s + kx*d - left] * dz[y, x]
//! ```
//!
//! In `da` only taps take part for which the quotients are whole. Which those are depends on the
//! remainders of `y + top` and `x + left`, the phases (see `phase`): the pixels of one phase are
//! a plain depthwise convolution of `dz`, and computed by the same kernel as the forward pass.

use std::ops::Range;

use super::network::{Layer, TrainingOptions};
use super::phase::{Phase, phases, reach};
use super::plan::{Places, Step, Vectors};
use super::program::Run;
use super::source::{SCRATCH, Target, gap};
use super::statistics::Partial;
use crate::geometry::{Axis, ConvSize};
use crate::partition::{part, parts};
use crate::simd::{Simd, depthwise, normalization, taps};

/// Most rows of taps; `Plan::new` refuses more.
pub(super) const MOST_ROWS: usize = 16;

/// A depthwise convolution.
#[derive(Debug)]
pub(super) struct Depthwise {
    size: ConvSize,
    /// Channels with the zeros that fill up the last vector, and from pixel to pixel in scratch.
    width: usize,
    pixel: usize,
    /// Place of the packed weights.
    pub(super) weights: usize,
    phases: Vec<Phase>,
    /// Columns of zeros left and right of the input, and of the gradient.
    input_zeros: [usize; 2],
    gradient_zeros: [usize; 2],
    /// Bands that an image is cut into.
    bands: usize,
    /// Most rows of a band's input and gradient, in scratch.
    input_rows: usize,
    gradient_rows: usize,
}

impl Depthwise {
    pub(super) fn new(
        layer: &Layer,
        size: &ConvSize,
        vectors: Vectors,
        options: &TrainingOptions,
        places: &mut Places,
    ) -> Self {
        let width = vectors.width(layer.out_channels);
        let taps = size.rows.kernel * size.columns.kernel;
        let weights = places.take((taps + 1) * width);
        let phases = phases(size, width, places);
        let mut depthwise = Self {
            size: *size,
            width,
            pixel: width + gap(width),
            weights,
            phases,
            input_zeros: zeros(&size.columns),
            gradient_zeros: reach(&size.columns),
            bands: 1,
            input_rows: 0,
            gradient_rows: 0,
        };
        // As few bands as leave scratch in the cache, and enough for all threads.
        let most = size.rows.output;
        let least = options.threads.div_ceil(size.batch).min(most);
        for bands in parts(most, most, least)..=most {
            depthwise.bands = bands;
            let bands = || (0..bands).map(|band| depthwise.band(band));
            let input_rows = bands().map(|band| band.input_rows().len()).max();
            let gradient_rows = bands().map(|band| band.gradients.len()).max();
            depthwise.input_rows = input_rows.unwrap_or(0);
            depthwise.gradient_rows = gradient_rows.unwrap_or(0);
            if depthwise.scratch() <= SCRATCH {
                break;
            }
        }
        depthwise
    }

    pub(super) fn taps(&self) -> usize {
        self.size.rows.kernel * self.size.columns.kernel
    }

    pub(super) fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Values of sums of the weight gradient.
    pub(super) fn weight_sums(&self) -> usize {
        self.taps() * self.width
    }

    /// Values of scratch for a thread: input, gradient, and a row of zeros.
    pub(super) fn scratch(&self) -> usize {
        self.input_rows * self.input_row() + (self.gradient_rows + 1) * self.gradient_row()
    }

    fn input_row(&self) -> usize {
        (self.input_zeros[0] + self.size.columns.input + self.input_zeros[1]) * self.pixel
    }

    fn gradient_row(&self) -> usize {
        (self.gradient_zeros[0] + self.size.columns.output + self.gradient_zeros[1]) * self.pixel
    }

    fn band(&self, index: usize) -> Band {
        let rows = &self.size.rows;
        let outputs = part(rows.output, index, self.bands);
        let inputs = part(rows.input, index, self.bands);
        // Output rows whose gradient the band's outputs or inputs need.
        let reach = (rows.kernel - 1) * rows.dilation;
        let first = (inputs.start + rows.before).saturating_sub(reach) / rows.stride;
        let last = (inputs.end.saturating_sub(1) + rows.before) / rows.stride;
        let gradients = if inputs.is_empty() {
            outputs.clone()
        } else {
            first.min(outputs.start)..(last + 1).max(outputs.end).min(rows.output)
        };
        Band {
            gradients: gradients.start.min(gradients.end)..gradients.end,
            outputs,
            inputs,
            rows: *rows,
        }
    }

    /// The thread's bands: image and band.
    fn share(&self, thread: usize, threads: usize) -> impl Iterator<Item = (usize, Band)> {
        part(self.size.batch * self.bands, thread, threads)
            .map(|index| (index / self.bands, self.band(index % self.bands)))
    }

    /// Writes the zeros beside a row of scratch and returns where the row's pixels begin.
    #[inline(always)]
    fn clear_sides(&self, row: *mut f32, columns: usize, [left, right]: [usize; 2]) -> *mut f32 {
        let start = row.wrapping_add(left * self.pixel);
        // SAFETY: callers pass a row of their thread's scratch, which has room for the columns and
        // the zeros on both sides.
        unsafe {
            row.write_bytes(0, left * self.pixel);
            start
                .add(columns * self.pixel)
                .write_bytes(0, right * self.pixel);
        }
        start
    }

    /// Activations under the windows of a band's outputs, with zeros around them.
    #[inline(always)]
    fn load_input<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        before: &Step,
        image: usize,
        band: &Band,
        scratch: *mut f32,
    ) {
        let columns = self.size.columns.input;
        for (index, y) in band.input_rows().enumerate() {
            let row = scratch.wrapping_add(index * self.input_row());
            let inside = usize::try_from(y)
                .ok()
                .filter(|&y| y < self.size.rows.input);
            let Some(y) = inside else {
                // SAFETY: the row lies in this thread's scratch.
                unsafe { row.write_bytes(0, self.input_row()) };
                continue;
            };
            let start = self.clear_sides(row, columns, self.input_zeros);
            let first = (image * self.size.rows.input + y) * columns;
            let target = Target {
                start,
                pixel: self.pixel,
                vector: S::LANES,
            };
            before.activation(simd, run, first, columns, target);
        }
    }

    /// The thread's bands of `z`, and their statistics.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(&self, simd: S, run: &Run<'_>, step: &Step, thread: usize) {
        let Some(before) = step.index.checked_sub(1).map(|i| &run.plan.steps[i]) else {
            return;
        };
        let scratch = run.scratch(thread);
        let partial = Partial::cleared(run, step.width, thread);
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let mut seen = 0;
        for (image, band) in self.share(thread, run.threads) {
            self.load_input(simd, run, before, image, &band, scratch);
            let first = (image * rows.output + band.outputs.start) * columns.output;
            let output = run.pointer(step.map + first * self.width);
            for y in 0..band.outputs.len() {
                let mut taps = [std::ptr::null(); MOST_ROWS];
                for (ky, row) in taps[..rows.kernel].iter_mut().enumerate() {
                    let row_of_scratch = y * rows.stride + ky * rows.dilation;
                    *row = scratch
                        .wrapping_add(row_of_scratch * self.input_row())
                        .cast_const();
                }
                let row = depthwise::Row {
                    rows: &taps[..rows.kernel],
                    ahead: &[],
                    pixel: self.pixel,
                    taps: columns.kernel,
                    tap_step: columns.dilation * self.pixel,
                    column_step: columns.stride * self.pixel,
                    weights: run.pointer(self.weights),
                    vectors: step.vectors,
                    columns: columns.output,
                    bounds: (f32::NEG_INFINITY, f32::INFINITY),
                    output: output.wrapping_add(y * columns.output * self.width),
                    output_step: self.width,
                };
                // SAFETY: the rows lie in scratch, zeros included; the output row is this thread's.
                unsafe { depthwise::row(simd, &row) }
            }
            let count = band.outputs.len() * columns.output;
            if count > 0 && !step.fixed_statistics {
                // SAFETY: the band was just written by this thread; the sums are its own.
                unsafe {
                    normalization::statistics(
                        simd,
                        output,
                        self.width,
                        count,
                        step.vectors,
                        seen as f32,
                        partial.first,
                        partial.second,
                    );
                }
            }
            seen += count;
        }
        // SAFETY: the place is this thread's.
        unsafe { partial.count.write(seen as f32) }
    }

    /// The thread's part of the input's gradient and of the weights'.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        step: &Step,
        needs_input: bool,
        thread: usize,
    ) {
        let Some(before) = step.index.checked_sub(1).map(|i| &run.plan.steps[i]) else {
            return;
        };
        let inputs = run.scratch(thread);
        let zeros = inputs.wrapping_add(self.input_rows * self.input_row());
        let gradients = zeros.wrapping_add(self.gradient_row());
        let partial = Partial::cleared(run, before.width, thread);
        let sums = run.weight_sums(thread);
        // SAFETY: the sums and the row of zeros are this thread's.
        unsafe {
            sums.write_bytes(0, self.weight_sums());
            zeros.write_bytes(0, self.gradient_row());
        }
        for (image, band) in self.share(thread, run.threads) {
            self.load_input(simd, run, before, image, &band, inputs);
            self.load_gradient(simd, run, step, image, &band, gradients);
            self.weight_gradient(simd, step, &band, inputs, gradients, sums);
            if needs_input {
                for y in band.inputs.clone() {
                    self.input_gradient(simd, run, step, image, &band, y, zeros, gradients);
                }
                let columns = self.size.columns.input;
                let first = (image * self.size.rows.input + band.inputs.start) * columns;
                before.gate(simd, run, first, band.inputs.len() * columns, &partial);
            }
        }
    }

    #[inline(always)]
    fn load_gradient<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        step: &Step,
        image: usize,
        band: &Band,
        scratch: *mut f32,
    ) {
        let columns = self.size.columns.output;
        for (index, y) in band.gradients.clone().enumerate() {
            let row = scratch.wrapping_add(index * self.gradient_row());
            let start = self.clear_sides(row, columns, self.gradient_zeros);
            let first = (image * self.size.rows.output + y) * columns;
            let target = Target {
                start,
                pixel: self.pixel,
                vector: S::LANES,
            };
            step.map_gradient(simd, run, (first, columns), (0, step.vectors), target);
        }
    }

    #[inline(always)]
    fn weight_gradient<S: Simd>(
        &self,
        simd: S,
        step: &Step,
        band: &Band,
        inputs: *const f32,
        gradients: *const f32,
        sums: *mut f32,
    ) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let first = band.outputs.start - band.gradients.start;
        let job = taps::Taps {
            gradient: gradients
                .wrapping_add(first * self.gradient_row() + self.gradient_zeros[0] * self.pixel),
            gradient_row: self.gradient_row(),
            gradient_pixel: self.pixel,
            input: inputs,
            input_row: rows.stride * self.input_row(),
            input_column: columns.stride * self.pixel,
            tap_row: rows.dilation * self.input_row(),
            tap_column: columns.dilation * self.pixel,
            kernel: [rows.kernel, columns.kernel],
            rows: band.outputs.len(),
            columns: columns.output,
            vectors: step.vectors,
            sums,
        };
        // SAFETY: scratch holds the band's gradients and the inputs under its windows; the sums
        // are this thread's.
        unsafe { taps::run(simd, &job) }
    }

    /// Gradient of input row `y`, phase by phase.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    fn input_gradient<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        step: &Step,
        image: usize,
        band: &Band,
        y: usize,
        zeros: *const f32,
        gradients: *const f32,
    ) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let stride = columns.stride;
        let output = run
            .gradients(step)
            .1
            .wrapping_add((image * rows.input + y) * columns.input * self.width);
        let of_row = self
            .phases
            .iter()
            .filter(|p| p.rows.remainder == y % rows.stride);
        for phase in of_row {
            let first = phase.columns.remainder;
            if first >= columns.input {
                continue;
            }
            // Where the first tap of the phase's first column lies; the zeros on the left make it
            // no less than 0.
            let offset = (phase.columns.shift + self.gradient_zeros[0] as isize).max(0) as usize;
            let mut taps = [std::ptr::null(); MOST_ROWS];
            let taps = &mut taps[..phase.rows.taps.len()];
            for (index, row) in taps.iter_mut().enumerate() {
                let quotient = (y / rows.stride) as isize
                    + phase.rows.shift
                    + (index * phase.rows.step) as isize;
                let inside = usize::try_from(quotient)
                    .ok()
                    .filter(|o| band.gradients.contains(o));
                let start = match inside {
                    Some(o) => {
                        gradients.wrapping_add((o - band.gradients.start) * self.gradient_row())
                    }
                    None => zeros,
                };
                *row = start.wrapping_add(offset * self.pixel);
            }
            let row = depthwise::Row {
                rows: taps,
                ahead: &[],
                pixel: self.pixel,
                taps: phase.columns.taps.len(),
                tap_step: phase.columns.step * self.pixel,
                column_step: self.pixel,
                weights: run.pointer(phase.weights),
                vectors: step.vectors,
                columns: (columns.input - first).div_ceil(stride),
                bounds: (f32::NEG_INFINITY, f32::INFINITY),
                output: output.wrapping_add(first * self.width),
                output_step: stride * self.width,
            };
            // SAFETY: the rows lie in scratch, zeros included; the output row is this thread's.
            unsafe { depthwise::row(simd, &row) }
        }
    }

    /// Adds the sums of all threads and writes the thread's share of the weights' gradient.
    pub(super) fn finish(&self, run: &Run<'_>, step: &Step, thread: usize) {
        let (lanes, taps) = (run.plan.vectors.lanes, self.taps());
        for channel in part(step.layer.out_channels, thread, run.threads) {
            for tap in 0..taps {
                let place = (channel / lanes * taps + tap) * lanes + channel % lanes;
                let mut sum = 0.0;
                for copy in 0..run.threads {
                    // SAFETY: all threads have written their sums before the barrier.
                    sum += unsafe { run.weight_sums(copy).add(place).read() };
                }
                let place = step.layer.weights + channel * taps + tap;
                // SAFETY: the channel's gradient is this thread's.
                unsafe { run.parameter_gradient(place).write(sum) }
            }
        }
    }
}

/// Rows of one image that are computed together.
#[derive(Debug)]
struct Band {
    /// Output rows: of `z` forward, and whose share of the weight gradient is taken.
    outputs: Range<usize>,
    /// Input rows whose gradient is computed.
    inputs: Range<usize>,
    /// Output rows whose gradient is needed for both.
    gradients: Range<usize>,
    rows: Axis,
}

impl Band {
    /// Input rows under the windows of the outputs; some lie beyond the map.
    fn input_rows(&self) -> Range<isize> {
        let Axis {
            stride,
            kernel,
            dilation,
            before,
            ..
        } = self.rows;
        if self.outputs.is_empty() {
            return 0..0;
        }
        let first = (self.outputs.start * stride) as isize - before as isize;
        let rows = (self.outputs.len() - 1) * stride + (kernel - 1) * dilation + 1;
        first..first + rows as isize
    }
}

/// Zeros that windows need before and after an axis.
fn zeros(axis: &Axis) -> [usize; 2] {
    let span = (axis.kernel - 1) * axis.dilation + 1;
    let reach = (axis.output - 1) * axis.stride + span;
    [axis.before, reach.saturating_sub(axis.before + axis.input)]
}
