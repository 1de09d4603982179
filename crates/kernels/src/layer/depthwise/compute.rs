//! What is computed from a band's rows in scratch: outputs, and the gradients of weights and inputs.

use std::ops::Range;

use super::{Band, Bands, Scratch};
use crate::layer::matrix::UNBOUNDED;
use crate::layer::phase::Phase;
use crate::simd::{Simd, depthwise, depthwise_weight_gradient};

/// Where rows of pixels are written.
#[derive(Clone, Copy)]
struct Output {
    start: *mut f32,
    /// Values from one pixel, and from one row, to the next.
    pixel: usize,
    row: usize,
}

impl Bands {
    /// Where the inputs under an output row begin in scratch.
    fn inputs_under(&self, band: &Band, scratch: Scratch, output: usize) -> *const f32 {
        let row = (output - band.loaded.start) * self.size.rows.stride;
        scratch.inputs.wrapping_add(row * self.input_row())
    }

    /// Computes a band's outputs from its inputs in scratch. Pixels are `output_pixel` values
    /// apart.
    ///
    /// # Safety
    /// The inputs must be loaded and the weights packed. The band's outputs must be writable and
    /// used by no other thread.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        scratch: Scratch,
        weights: *const f32,
        bounds: (f32, f32),
        output: *mut f32,
        output_pixel: usize,
    ) {
        let row = self.size.columns.output * output_pixel;
        let output = Output {
            start: output,
            pixel: output_pixel,
            row,
        };
        // SAFETY: the caller's guarantee.
        unsafe { self.rows(simd, band, &band.outputs, scratch, weights, bounds, output) }
    }

    /// Computes the gradients that a band needs, where they are a convolution of its inputs, too. The
    /// band must be [`Band::widened`]; there are zeros around gradients that were loaded before.
    ///
    /// # Safety
    /// As [`Self::forward`].
    #[inline(always)]
    pub(crate) unsafe fn compute_gradient<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        scratch: Scratch,
        weights: *const f32,
    ) {
        let before = self.gradient_zeros[0] * self.pixel;
        let output = Output {
            start: scratch.gradients.wrapping_add(before),
            pixel: self.pixel,
            row: self.gradient_row(),
        };
        // SAFETY: scratch has room for the gradients; otherwise the caller's guarantee.
        unsafe {
            self.rows(
                simd,
                band,
                &band.gradients,
                scratch,
                weights,
                UNBOUNDED,
                output,
            )
        }
    }

    /// Computes some output rows from the inputs in scratch.
    ///
    /// # Safety
    /// As [`Self::forward`]; the inputs under these rows must be loaded.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    unsafe fn rows<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        outputs: &Range<usize>,
        scratch: Scratch,
        weights: *const f32,
        bounds: (f32, f32),
        output: Output,
    ) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let mut taps = vec![std::ptr::null(); rows.kernel];
        for (index, y) in outputs.clone().enumerate() {
            let first = self.inputs_under(band, scratch, y);
            for (ky, row) in taps.iter_mut().enumerate() {
                *row = first.wrapping_add(ky * rows.dilation * self.input_row());
            }
            let row = depthwise::Row {
                rows: &taps,
                ahead: &[],
                pixel: self.pixel,
                taps: columns.kernel,
                tap_stride: columns.dilation * self.pixel,
                column_stride: columns.stride * self.pixel,
                weights,
                vectors: self.width / S::LANES,
                columns: columns.output,
                bounds,
                output: output.start.wrapping_add(index * output.row),
                output_stride: output.pixel,
            };
            // SAFETY: the rows and their zeros are loaded in scratch; the caller guarantees the
            // output.
            unsafe { depthwise::row(simd, &row) }
        }
    }

    /// Adds a band's share of the weight gradient to sums, `[vectors][taps][LANES]`.
    ///
    /// # Safety
    /// Inputs and gradients must be loaded, the sums writable and used by no other thread.
    #[inline(always)]
    pub(crate) unsafe fn weight_gradient<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        scratch: Scratch,
        sums: *mut f32,
    ) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let first = band.outputs.start - band.gradients.start;
        let job = depthwise_weight_gradient::WeightGradient {
            gradient: scratch
                .gradients
                .wrapping_add(first * self.gradient_row() + self.gradient_zeros[0] * self.pixel),
            gradient_row: self.gradient_row(),
            gradient_pixel: self.pixel,
            input: self.inputs_under(band, scratch, band.outputs.start),
            input_row: rows.stride * self.input_row(),
            input_column: columns.stride * self.pixel,
            tap_row: rows.dilation * self.input_row(),
            tap_column: columns.dilation * self.pixel,
            kernel: [rows.kernel, columns.kernel],
            rows: band.outputs.len(),
            columns: columns.output,
            vectors: self.width / S::LANES,
            sums,
        };
        // SAFETY: scratch holds the band's gradients and the inputs under its windows; the caller
        // guarantees the sums.
        unsafe { depthwise_weight_gradient::run(simd, &job) }
    }

    /// Computes the gradient of a band's inputs, phase by phase. Pixels are `output_pixel` values
    /// apart.
    ///
    /// # Safety
    /// The gradients must be loaded and the weights packed. The outputs must be writable and used
    /// by no other thread.
    #[inline(always)]
    pub(crate) unsafe fn input_gradient<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        scratch: Scratch,
        weights: *const f32,
        output: *mut f32,
        output_pixel: usize,
    ) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let mut taps = vec![std::ptr::null(); rows.kernel];
        for (index, y) in band.inputs.clone().enumerate() {
            let output = output.wrapping_add(index * columns.input * output_pixel);
            let of_row = self
                .phases
                .iter()
                .filter(|phase| phase.rows.remainder == y % rows.stride);
            for phase in of_row {
                let first = phase.columns.remainder;
                if first >= columns.input {
                    continue;
                }
                let taps = &mut taps[..phase.rows.taps.len()];
                self.rows_of_phase(phase, band, scratch, y, taps);
                let row = depthwise::Row {
                    rows: taps,
                    ahead: &[],
                    pixel: self.pixel,
                    taps: phase.columns.taps.len(),
                    tap_stride: phase.columns.tap_stride * self.pixel,
                    column_stride: self.pixel,
                    weights: weights.wrapping_add(phase.weights * self.width),
                    vectors: self.width / S::LANES,
                    columns: (columns.input - first).div_ceil(columns.stride),
                    bounds: UNBOUNDED,
                    output: output.wrapping_add(first * output_pixel),
                    output_stride: columns.stride * output_pixel,
                };
                // SAFETY: the rows and their zeros are loaded in scratch; the caller guarantees the
                // output.
                unsafe { depthwise::row(simd, &row) }
            }
        }
    }

    /// The rows of gradients under the taps of a phase for input row `y`.
    fn rows_of_phase(
        &self,
        phase: &Phase,
        band: &Band,
        scratch: Scratch,
        y: usize,
        rows: &mut [*const f32],
    ) {
        // Column of the first tap for the phase's first pixel: at least 0, due to the zeros on the
        // left.
        let offset = (phase.columns.shift + self.gradient_zeros[0] as isize).max(0) as usize;
        for (index, row) in rows.iter_mut().enumerate() {
            let quotient = (y / self.size.rows.stride) as isize
                + phase.rows.shift
                + (index * phase.rows.tap_stride) as isize;
            let inside = usize::try_from(quotient)
                .ok()
                .filter(|output| band.gradients.contains(output));
            let start = inside.map_or(scratch.zeros, |output| {
                let index = output - band.gradients.start;
                scratch.gradients.wrapping_add(index * self.gradient_row())
            });
            *row = start.wrapping_add(offset * self.pixel).cast_const();
        }
    }
}
