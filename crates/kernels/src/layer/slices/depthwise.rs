//! Depthwise convolution on slices. If a channel has several filters, it is copied to scratch once
//! per filter, and the gradients of the copies are added.

use super::{Epilogue, Output, for_each_task, store};
use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::layer::depthwise::Bands;
use crate::layer::rows::Pixels;
use crate::partition::{part, parts};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Most parts of the sum of a weight gradient: enough to keep many threads busy to the end.
const PARTS: usize = 32;

/// A depthwise convolution.
#[derive(Clone, Copy)]
pub(crate) struct Depthwise<'a> {
    pub(crate) size: &'a ConvSize,
    pub(crate) channels: usize,
    /// Filters per channel.
    pub(crate) multiplier: usize,
    /// Values in the weights from a filter's tap to its next, and from a filter to the next.
    pub(crate) strides: [usize; 2],
}

impl<'a> Depthwise<'a> {
    /// With weights `[rows, columns, filters]`.
    pub(crate) fn taps_first(size: &'a ConvSize, channels: usize, multiplier: usize) -> Self {
        let strides = [channels.saturating_mul(multiplier), 1];
        Self {
            size,
            channels,
            multiplier,
            strides,
        }
    }

    /// With weights `[filters, rows, columns]`.
    pub(crate) fn filters_first(size: &'a ConvSize, channels: usize, multiplier: usize) -> Self {
        let strides = [1, size.rows.kernel * size.columns.kernel];
        Self {
            size,
            channels,
            multiplier,
            strides,
        }
    }

    /// Number of filters, which is the number of output channels.
    pub(crate) fn filters(&self) -> Result<usize, KernelError> {
        if self.channels == 0 || self.multiplier == 0 {
            return Err(KernelError::Zero { what: "channels" });
        }
        self.channels
            .checked_mul(self.multiplier)
            .ok_or(KernelError::Overflow { what: "channels" })
    }

    fn check(&self, weights: usize) -> Result<usize, KernelError> {
        let filters = self.filters()?;
        let shape = [self.size.rows.kernel, self.size.columns.kernel, filters];
        check_length("weights", weights, &shape)?;
        Ok(filters)
    }

    /// The bands, one per task. There are at least two per thread, if there are several threads.
    fn bands(&self, isa: Isa, filters: usize) -> Bands {
        let threads = rayon::current_num_threads();
        let least = if threads == 1 { 1 } else { 2 * threads };
        let least = least.div_ceil(self.size.batch);
        Bands::new(self.size, filters.next_multiple_of(isa.lanes()), least)
    }

    /// The weight of a filter's tap. It is 0 for the padding of the last vector.
    fn weight(&self, weights: &[f32], filter: usize, tap: usize) -> f32 {
        if filter < self.channels * self.multiplier {
            weights[tap * self.strides[0] + filter * self.strides[1]]
        } else {
            0.0
        }
    }

    /// Packed weights of the forward pass, with the epilogue's scale and shift folded in.
    fn pack(&self, isa: Isa, bands: &Bands, weights: &[f32], epilogue: &Epilogue<'_>) -> Vec<f32> {
        let filters = self.channels * self.multiplier;
        let mut packed = vec![0.0; bands.weights_len()];
        let weight = |filter: usize, tap| {
            let scale = epilogue.scale(filter.min(filters - 1));
            self.weight(weights, filter, tap) * scale
        };
        let bias = |filter| {
            if filter < filters {
                epilogue.shift(filter)
            } else {
                0.0
            }
        };
        for vector in 0..filters.div_ceil(isa.lanes()) {
            // SAFETY: `packed` has the length that the bands require.
            unsafe { bands.pack(isa.lanes(), vector, weight, bias, packed.as_mut_ptr()) }
        }
        packed
    }

    /// Packed weights of the input's gradient.
    fn pack_phases(&self, isa: Isa, bands: &Bands, weights: &[f32]) -> Vec<f32> {
        let mut packed = vec![0.0; bands.weights_len()];
        let weight = |filter, tap| self.weight(weights, filter, tap);
        for vector in 0..(self.channels * self.multiplier).div_ceil(isa.lanes()) {
            // SAFETY: as in `pack`.
            unsafe { bands.pack_phases(isa.lanes(), vector, weight, packed.as_mut_ptr()) }
        }
        packed
    }

    /// The convolution of `input`.
    pub(crate) fn forward(
        &self,
        input: &[f32],
        weights: &[f32],
        epilogue: &Epilogue<'_>,
        output: Output<'_>,
    ) -> Result<(), KernelError> {
        let filters = self.check(weights.len())?;
        epilogue.check(filters)?;
        let (inputs, outputs) = self.lengths(filters)?;
        check_length("input", input.len(), &[inputs])?;
        check_length("output", output.len, &[outputs])?;
        let isa = Isa::current()?;
        let bands = self.bands(isa, filters);
        let job = Job {
            bands: &bands,
            input: Some(Pixels {
                values: input,
                channels: self.channels,
                multiplier: self.multiplier,
            }),
            gradient: None,
            weights: &self.pack(isa, &bands, weights, epilogue),
            bounds: epilogue.bounds(),
            channels: filters,
            multiplier: 1,
        };
        let scratch = bands.scratch_len() + bands.results_len();
        for_each_task(bands.count(), scratch, |index, scratch| {
            dispatch(isa, Forward(&job, index, scratch, output));
        });
        Ok(())
    }

    /// The gradient of the input.
    pub(crate) fn input_gradient(
        &self,
        weights: &[f32],
        gradient: &[f32],
        output: Output<'_>,
    ) -> Result<(), KernelError> {
        let filters = self.check(weights.len())?;
        let (inputs, outputs) = self.lengths(filters)?;
        check_length("output gradient", gradient.len(), &[outputs])?;
        check_length("input gradient", output.len, &[inputs])?;
        let isa = Isa::current()?;
        let bands = self.bands(isa, filters);
        let job = Job {
            bands: &bands,
            input: None,
            gradient: Some(Pixels::new(gradient, filters)),
            weights: &self.pack_phases(isa, &bands, weights),
            bounds: (0.0, 0.0),
            channels: self.channels,
            multiplier: self.multiplier,
        };
        let scratch = bands.scratch_len() + bands.results_len();
        for_each_task(bands.count(), scratch, |index, scratch| {
            dispatch(isa, InputGradient(&job, index, scratch, output));
        });
        Ok(())
    }

    /// The gradient of the weights.
    pub(crate) fn weight_gradient(
        &self,
        input: &[f32],
        gradient: &[f32],
        output: &mut [f32],
    ) -> Result<(), KernelError> {
        let filters = self.check(output.len())?;
        let (inputs, outputs) = self.lengths(filters)?;
        check_length("input", input.len(), &[inputs])?;
        check_length("output gradient", gradient.len(), &[outputs])?;
        let isa = Isa::current()?;
        let lanes = isa.lanes();
        let least = PARTS.div_ceil(self.size.batch);
        let bands = Bands::new(self.size, filters.next_multiple_of(lanes), least);
        let job = Job {
            bands: &bands,
            input: Some(Pixels {
                values: input,
                channels: self.channels,
                multiplier: self.multiplier,
            }),
            gradient: Some(Pixels::new(gradient, filters)),
            weights: &[],
            bounds: (0.0, 0.0),
            channels: filters,
            multiplier: 1,
        };
        let count = parts(bands.count(), bands.count().div_ceil(PARTS), 1);
        let mut sums = vec![0.0; count * bands.sums_len()];
        let all = Output::from(&mut sums[..]);
        for_each_task(count, bands.scratch_len(), |index, scratch| {
            dispatch(isa, WeightGradient(&job, index, count, scratch, all));
        });
        for filter in 0..filters {
            for tap in 0..bands.taps() {
                let offset = (filter / lanes * bands.taps() + tap) * lanes + filter % lanes;
                let of = |part: usize| sums[part * bands.sums_len() + offset];
                output[tap * self.strides[0] + filter * self.strides[1]] = (0..count).map(of).sum();
            }
        }
        Ok(())
    }

    fn lengths(&self, filters: usize) -> Result<(usize, usize), KernelError> {
        Ok((
            self.size.input_len(self.channels)?,
            self.size.output_len(filters)?,
        ))
    }
}

/// What all bands of a call have in common.
struct Job<'a> {
    bands: &'a Bands,
    input: Option<Pixels<'a>>,
    gradient: Option<Pixels<'a>>,
    weights: &'a [f32],
    bounds: (f32, f32),
    /// Channels of an output pixel, and the number of channels in scratch for each of them.
    channels: usize,
    multiplier: usize,
}

struct Forward<'a>(&'a Job<'a>, usize, *mut f32, Output<'a>);

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(job, index, start, output) = self;
        let Some(input) = job.input else { return };
        let (bands, band) = (job.bands, job.bands.band(index));
        let scratch = bands.scratch(start);
        let pixels = bands.output_pixels(&band);
        let output = output.at(pixels.start * job.channels);
        let results = start.wrapping_add(bands.scratch_len());
        let (direct, weights) = (job.channels % S::LANES == 0, job.weights.as_ptr());
        let width = job.channels.next_multiple_of(S::LANES);
        let to = if direct { output } else { results };
        // SAFETY: scratch is this thread's and large enough. `pack` made the weights. The band's
        // pixels of the output are this task's. The lengths were checked.
        unsafe {
            bands.load_input(simd, &band, &input, scratch);
            bands.forward(simd, &band, scratch, weights, job.bounds, to, width);
            if !direct {
                store(results, width, pixels.len(), job.channels, 1, output);
            }
        }
    }
}

struct InputGradient<'a>(&'a Job<'a>, usize, *mut f32, Output<'a>);

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(job, index, start, output) = self;
        let Some(gradient) = job.gradient else { return };
        let (bands, band) = (job.bands, job.bands.band(index));
        let scratch = bands.scratch(start);
        let pixels = bands.input_pixels(&band);
        let output = output.at(pixels.start * job.channels);
        let results = start.wrapping_add(bands.scratch_len());
        let direct = job.multiplier == 1 && job.channels % S::LANES == 0;
        let width = (job.channels * job.multiplier).next_multiple_of(S::LANES);
        let (to, weights) = (if direct { output } else { results }, job.weights.as_ptr());
        // SAFETY: as in `Forward`, with the weights of `pack_phases`.
        unsafe {
            bands.load_gradient(simd, &band, &gradient, scratch);
            bands.input_gradient(simd, &band, scratch, weights, to, width);
            if !direct {
                let (channels, multiplier) = (job.channels, job.multiplier);
                store(results, width, pixels.len(), channels, multiplier, output);
            }
        }
    }
}

struct WeightGradient<'a>(&'a Job<'a>, usize, usize, *mut f32, Output<'a>);

impl Kernel for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(job, index, count, start, sums) = self;
        let (Some(input), Some(gradient)) = (job.input, job.gradient) else {
            return;
        };
        let bands = job.bands;
        let scratch = bands.scratch(start);
        let sums = sums.at(index * bands.sums_len());
        for band in part(bands.count(), index, count) {
            let band = bands.band(band);
            // SAFETY: scratch is this thread's, the sums are this task's, and the lengths were
            // checked.
            unsafe {
                bands.load_input(simd, &band, &input, scratch);
                bands.load_gradient(simd, &band, &gradient, scratch);
                bands.weight_gradient(simd, &band, scratch, sums);
            }
        }
    }
}
