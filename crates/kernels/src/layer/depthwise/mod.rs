//! Depthwise convolution and its gradients, in bands of rows of one image. A band's inputs and
//! gradients are copied to scratch with zeros around them, so that there are no edges.
//!
//! `a` is the layer's input and `z` its output before normalisation. `da`, `dz` and `dw` are the
//! gradients of `a`, `z` and the weights `w`. `s` is the stride, `d` the dilation.
//!
//! ```text
//! forward  z[y, x]  = sum over taps of a[y*s + ky*d - top, x*s + kx*d - left] * w[ky, kx]
//! backward da[y, x] = sum over taps of dz[(y + top - ky*d) / s, (x + left - kx*d) / s] * w[ky, kx]
//!          dw[ky, kx] = sum over y, x of a[y*s + ky*d - top, x*s + kx*d - left] * dz[y, x]
//! ```
//!
//! Only taps for which both quotients are integers contribute to `da`. Which taps these are depends
//! on the remainders of `y` and `x` by `s`, called the phase (see `phase`). The pixels of one phase
//! are a plain depthwise convolution of `dz`, computed by the same kernel as the forward pass.

mod compute;

use std::ops::Range;

use super::phase::{Phase, phases, reach};
use super::rows::{Rows, Target};
use super::{SCRATCH, gap};
use crate::geometry::ConvSize;
use crate::partition::{part, parts};
use crate::simd::Simd;

/// A depthwise convolution, divided into bands.
#[derive(Debug)]
pub(crate) struct Bands {
    size: ConvSize,
    /// Channels, including the zeros that fill up the last vector; and values from pixel to pixel
    /// in scratch.
    width: usize,
    pixel: usize,
    phases: Vec<Phase>,
    /// Columns of zeros left and right of the input, and of the gradient.
    input_zeros: [usize; 2],
    gradient_zeros: [usize; 2],
    /// Bands per image.
    bands: usize,
    /// Most rows that a band has of its input, and of its gradient, in scratch.
    input_rows: usize,
    gradient_rows: usize,
}

/// Rows of one image that are computed together.
#[derive(Debug)]
pub(crate) struct Band {
    pub(crate) image: usize,
    /// Output rows that are computed, and whose share of the weight gradient is added.
    pub(crate) outputs: Range<usize>,
    /// Input rows whose gradient is computed.
    pub(crate) inputs: Range<usize>,
    /// Output rows whose gradient the backward pass reads.
    gradients: Range<usize>,
    /// Output rows under whose windows the inputs are loaded.
    loaded: Range<usize>,
}

impl Band {
    /// The same with the inputs under all gradients, from which they can be computed.
    pub(crate) fn widened(self) -> Self {
        let loaded = self.gradients.clone();
        Self { loaded, ..self }
    }
}

/// The parts of a thread's scratch.
#[derive(Clone, Copy)]
pub(crate) struct Scratch {
    inputs: *mut f32,
    /// A row of zeros.
    zeros: *mut f32,
    gradients: *mut f32,
}

impl Bands {
    /// For `width` channels, a whole number of vectors. An image has as few bands as keep scratch
    /// in the cache, but at least `least` if it has that many rows.
    pub(crate) fn new(size: &ConvSize, width: usize, least: usize) -> Self {
        Self::with_room(size, width, least, |band| band)
    }

    /// The same with room for bands that are [`Band::widened`].
    pub(crate) fn widened(size: &ConvSize, width: usize, least: usize) -> Self {
        Self::with_room(size, width, least, Band::widened)
    }

    fn with_room(size: &ConvSize, width: usize, least: usize, of: fn(Band) -> Band) -> Self {
        let taps = size.rows.kernel * size.columns.kernel;
        let mut result = Self {
            size: *size,
            width,
            pixel: width + gap(width),
            phases: phases(size, taps + 1),
            input_zeros: [size.columns.before, size.columns.after()],
            gradient_zeros: reach(&size.columns),
            bands: 1,
            input_rows: 0,
            gradient_rows: 0,
        };
        let most = size.rows.output;
        for count in parts(most, most, least.min(most))..=most {
            result.bands = count;
            let bands = || (0..count).map(|index| of(result.band(index)));
            let input_rows = bands()
                .map(|band| result.rows_under(&band.loaded).len())
                .max();
            let gradient_rows = bands().map(|band| band.gradients.len()).max();
            result.input_rows = input_rows.unwrap_or(0);
            result.gradient_rows = gradient_rows.unwrap_or(0);
            if result.scratch_len() <= SCRATCH {
                break;
            }
        }
        result
    }

    pub(crate) fn taps(&self) -> usize {
        self.size.rows.kernel * self.size.columns.kernel
    }

    /// Values of the packed weights, those of the phases included.
    pub(crate) fn weights_len(&self) -> usize {
        let last = self.phases.last();
        self.width * last.map_or(0, |phase| phase.weights + phase.count() + 1)
    }

    /// Values in the sums of the weight gradient.
    pub(crate) fn sums_len(&self) -> usize {
        self.taps() * self.width
    }

    /// Values of scratch per thread: input, gradient, and a row of zeros.
    pub(crate) fn scratch_len(&self) -> usize {
        self.input_rows * self.input_row() + (self.gradient_rows + 1) * self.gradient_row()
    }

    /// Values of the largest band of outputs or of inputs.
    pub(crate) fn results_len(&self) -> usize {
        let Self { size, bands, .. } = self;
        let outputs = size.rows.output.div_ceil(*bands) * size.columns.output;
        let inputs = size.rows.input.div_ceil(*bands) * size.columns.input;
        outputs.max(inputs) * self.width
    }

    /// The scratch that begins at `start`.
    pub(crate) fn scratch(&self, start: *mut f32) -> Scratch {
        let zeros = start.wrapping_add(self.input_rows * self.input_row());
        Scratch {
            inputs: start,
            zeros,
            gradients: zeros.wrapping_add(self.gradient_row()),
        }
    }

    fn input_row(&self) -> usize {
        (self.input_zeros[0] + self.size.columns.input + self.input_zeros[1]) * self.pixel
    }

    fn gradient_row(&self) -> usize {
        (self.gradient_zeros[0] + self.size.columns.output + self.gradient_zeros[1]) * self.pixel
    }

    /// Number of bands of all images.
    pub(crate) fn count(&self) -> usize {
        self.size.batch * self.bands
    }

    /// A band, by its number through all images.
    pub(crate) fn band(&self, index: usize) -> Band {
        let rows = &self.size.rows;
        let (image, index) = (index / self.bands, index % self.bands);
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
            image,
            gradients: gradients.start.min(gradients.end)..gradients.end,
            loaded: outputs.clone(),
            outputs,
            inputs,
        }
    }

    /// Input rows under the windows of some output rows. Some lie outside the map.
    fn rows_under(&self, outputs: &Range<usize>) -> Range<isize> {
        let rows = &self.size.rows;
        if outputs.is_empty() {
            return 0..0;
        }
        let first = (outputs.start * rows.stride) as isize - rows.before as isize;
        let count = (outputs.len() - 1) * rows.stride + (rows.kernel - 1) * rows.dilation + 1;
        first..first + count as isize
    }

    /// Output pixels of a band, numbered through all images.
    pub(crate) fn output_pixels(&self, band: &Band) -> Range<usize> {
        let (height, width) = (self.size.rows.output, self.size.columns.output);
        pixels(band.image * height, width, &band.outputs)
    }

    /// Input pixels of a band, numbered through all images.
    pub(crate) fn input_pixels(&self, band: &Band) -> Range<usize> {
        let (height, width) = (self.size.rows.input, self.size.columns.input);
        pixels(band.image * height, width, &band.inputs)
    }

    /// Packs a vector of channels for the forward pass, as `[taps][LANES]` and a bias.
    ///
    /// # Safety
    /// `to` must have room for [`Self::weights_len`] values; no other thread may use this vector's.
    pub(crate) unsafe fn pack(
        &self,
        lanes: usize,
        vector: usize,
        weight: impl Fn(usize, usize) -> f32,
        bias: impl Fn(usize) -> f32,
        to: *mut f32,
    ) {
        let taps = self.taps();
        let to = to.wrapping_add(vector * (taps + 1) * lanes);
        for tap in 0..=taps {
            for lane in 0..lanes {
                let channel = vector * lanes + lane;
                let value = if tap < taps {
                    weight(channel, tap)
                } else {
                    bias(channel)
                };
                // SAFETY: `to` has room for all packed weights, and these are of the caller's
                // vector.
                unsafe { to.add(tap * lanes + lane).write(value) }
            }
        }
    }

    /// The same for the gradient of the input: for each phase its taps, and biases of 0.
    ///
    /// # Safety
    /// As [`Self::pack`].
    pub(crate) unsafe fn pack_phases(
        &self,
        lanes: usize,
        vector: usize,
        weight: impl Fn(usize, usize) -> f32,
        to: *mut f32,
    ) {
        for phase in &self.phases {
            let count = phase.count();
            let to = to.wrapping_add(phase.weights * self.width + vector * (count + 1) * lanes);
            for (index, tap) in phase.taps().map(Some).chain([None]).enumerate() {
                for lane in 0..lanes {
                    let value = tap.map_or(0.0, |tap| weight(vector * lanes + lane, tap));
                    // SAFETY: `to` has room for all packed weights, and these are of the caller's
                    // vector.
                    unsafe { to.add(index * lanes + lane).write(value) }
                }
            }
        }
    }

    /// Writes the zeros on both sides of a row of scratch and returns where its pixels begin.
    ///
    /// # Safety
    /// The row must have room for the columns and the zeros on both sides.
    #[inline(always)]
    unsafe fn clear_sides(
        &self,
        row: *mut f32,
        columns: usize,
        [left, right]: [usize; 2],
    ) -> *mut f32 {
        // SAFETY: the caller guarantees room for all of this.
        unsafe {
            let start = row.add(left * self.pixel);
            row.write_bytes(0, left * self.pixel);
            start
                .add(columns * self.pixel)
                .write_bytes(0, right * self.pixel);
            start
        }
    }

    /// Loads the input rows under the windows of a band, with zeros around them.
    ///
    /// # Safety
    /// Scratch must have room for [`Self::scratch_len`] values and be used by no other thread.
    #[inline(always)]
    pub(crate) unsafe fn load_input<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        input: &impl Rows,
        scratch: Scratch,
    ) {
        let columns = self.size.columns.input;
        for (index, y) in self.rows_under(&band.loaded).enumerate() {
            let row = scratch.inputs.wrapping_add(index * self.input_row());
            let inside = usize::try_from(y)
                .ok()
                .filter(|&y| y < self.size.rows.input);
            // SAFETY: the row is inside the scratch, whose size the caller guarantees.
            unsafe {
                let Some(y) = inside else {
                    row.write_bytes(0, self.input_row());
                    continue;
                };
                let start = self.clear_sides(row, columns, self.input_zeros);
                let first = (band.image * self.size.rows.input + y) * columns;
                let target = Target::by_pixels(start, self.pixel, S::LANES);
                let vectors = 0..self.width / S::LANES;
                input.load(simd, first..first + columns, vectors, target);
            }
        }
    }

    /// Loads the gradients that a band needs, with zeros around them, and clears the row of zeros.
    ///
    /// # Safety
    /// As [`Self::load_input`].
    #[inline(always)]
    pub(crate) unsafe fn load_gradient<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        gradient: &impl Rows,
        scratch: Scratch,
    ) {
        let columns = self.size.columns.output;
        // SAFETY: all rows are inside the scratch, whose size the caller guarantees.
        unsafe {
            scratch.zeros.write_bytes(0, self.gradient_row());
            for (index, y) in band.gradients.clone().enumerate() {
                let row = scratch.gradients.add(index * self.gradient_row());
                let start = self.clear_sides(row, columns, self.gradient_zeros);
                let first = (band.image * self.size.rows.output + y) * columns;
                let target = Target::by_pixels(start, self.pixel, S::LANES);
                let vectors = 0..self.width / S::LANES;
                gradient.load(simd, first..first + columns, vectors, target);
            }
        }
    }
}

/// The pixels of some rows, counted from row `first`.
fn pixels(first: usize, width: usize, rows: &Range<usize>) -> Range<usize> {
    (first + rows.start) * width..(first + rows.end) * width
}
