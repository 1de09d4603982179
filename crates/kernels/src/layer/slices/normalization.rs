//! Normalisation and its gradients on `[pixels, channels]`, a block of pixels at a time. If the
//! channels are not whole vectors, the pixels are copied to scratch and back.

use super::{Output, for_each_task, map_tasks, store};
use crate::error::{KernelError, check_length};
use crate::layer::{Rows, Target, rows::Pixels};
use crate::partition::{part, parts};
use crate::simd::{Isa, Kernel, Simd, dispatch, normalization};

/// Pixels that are summed in f32 before they are added to a sum in f64.
const BLOCK: usize = 64;

/// Most parts of a sum over pixels.
const PARTS: usize = 32;

/// A map of `[pixels, channels]`, and the number of its channels in whole vectors, `width`.
pub(crate) struct Map<'a> {
    input: &'a [f32],
    channels: usize,
    pixels: usize,
    width: usize,
    isa: Isa,
}

/// `clamp(x * scale + shift)`.
#[derive(Clone, Copy)]
pub(crate) struct Affine<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) shift: &'a [f32],
    pub(crate) bounds: (f32, f32),
}

/// Mean and sum of squared deviations of each channel.
pub(crate) struct Moments {
    pub(crate) mean: Vec<f64>,
    pub(crate) deviations: Vec<f64>,
}

impl<'a> Map<'a> {
    pub(crate) fn new(input: &'a [f32], channels: usize) -> Result<Self, KernelError> {
        if channels == 0 {
            return Err(KernelError::Zero { what: "channels" });
        }
        let pixels = input.len() / channels;
        check_length("input", input.len(), &[pixels, channels])?;
        let isa = Isa::current()?;
        Ok(Self {
            input,
            channels,
            pixels,
            width: channels.next_multiple_of(isa.lanes()),
            isa,
        })
    }

    pub(crate) fn pixels(&self) -> usize {
        self.pixels
    }

    /// One value per channel, padded with zeros to whole vectors.
    fn padded(&self, what: &'static str, values: &[f32]) -> Result<Vec<f32>, KernelError> {
        check_length(what, values.len(), &[self.channels])?;
        let mut padded = values.to_vec();
        padded.resize(self.width, 0.0);
        Ok(padded)
    }

    /// Pixels of a block.
    fn block(&self, index: usize) -> std::ops::Range<usize> {
        index * BLOCK..self.pixels.min((index + 1) * BLOCK)
    }

    fn blocks(&self) -> usize {
        self.pixels.div_ceil(BLOCK)
    }

    fn direct(&self) -> bool {
        self.width == self.channels
    }

    /// A pointer to a block of `values` in whole vectors: to the values themselves, or to a padded
    /// copy in scratch.
    ///
    /// # Safety
    /// Scratch must have room for a block.
    #[inline(always)]
    unsafe fn read<S: Simd>(
        &self,
        simd: S,
        values: &[f32],
        block: std::ops::Range<usize>,
        scratch: *mut f32,
    ) -> *const f32 {
        if self.direct() {
            return values[block.start * self.channels..].as_ptr();
        }
        let target = Target::by_pixels(scratch, self.width, S::LANES);
        let vectors = 0..self.width / S::LANES;
        // SAFETY: the caller guarantees room for a block in scratch.
        unsafe { Pixels::new(values, self.channels).load(simd, block, vectors, target) }
        scratch
    }

    /// Moments of all pixels. There must be at least one pixel.
    pub(crate) fn moments(&self) -> Moments {
        let count = parts(self.blocks(), self.blocks().div_ceil(PARTS), 1);
        let mut all = vec![0.0f32; self.blocks() * 2 * self.width];
        let to = Output::from(&mut all[..]);
        for_each_task(count, BLOCK * self.width, |index, scratch| {
            let blocks = part(self.blocks(), index, count);
            dispatch(self.isa, Statistics(self, blocks, scratch, to));
        });
        let mut moments = Moments {
            mean: vec![0.0; self.channels],
            deviations: vec![0.0; self.channels],
        };
        let mut seen = 0.0;
        for (index, of_block) in all.chunks_exact(2 * self.width).enumerate() {
            let count = self.block(index).len() as f64;
            let merged = seen + count;
            let (mean, deviations) = of_block.split_at(self.width);
            // Merges the block by Chan's formula.
            for channel in 0..self.channels {
                let delta = f64::from(mean[channel]) - moments.mean[channel];
                moments.mean[channel] += delta * count / merged;
                moments.deviations[channel] +=
                    f64::from(deviations[channel]) + delta * delta * seen / merged * count;
            }
            seen = merged;
        }
        moments
    }

    /// `output = clamp(input * scale + shift)`.
    pub(crate) fn normalize(
        &self,
        affine: Affine<'_>,
        output: Output<'_>,
    ) -> Result<(), KernelError> {
        let scale = self.padded("scale", affine.scale)?;
        let shift = self.padded("shift", affine.shift)?;
        check_length("output", output.len, &[self.input.len()])?;
        let affine = Affine {
            scale: &scale,
            shift: &shift,
            bounds: affine.bounds,
        };
        let count = self.tasks();
        for_each_task(count, 2 * BLOCK * self.width, |index, scratch| {
            let blocks = part(self.blocks(), index, count);
            dispatch(self.isa, Normalize(self, affine, blocks, scratch, output));
        });
        Ok(())
    }

    /// Number of tasks, for work that is not a sum.
    fn tasks(&self) -> usize {
        match rayon::current_num_threads() {
            1 => 1,
            threads => parts(self.blocks(), 4, 1).min(4 * threads),
        }
    }

    /// Takes the gradient of `affine`'s result through its bounds and writes it to `gated`. Returns
    /// the sums over pixels of the gated gradient, and of it times `input - centre`.
    pub(crate) fn gate(
        &self,
        affine: Affine<'_>,
        centre: &[f32],
        gradient: &[f32],
        gated: Option<Output<'_>>,
    ) -> Result<[Vec<f64>; 2], KernelError> {
        let scale = self.padded("scale", affine.scale)?;
        let shift = self.padded("shift", affine.shift)?;
        check_length("output gradient", gradient.len(), &[self.input.len()])?;
        if let Some(gated) = gated {
            check_length("input gradient", gated.len, &[self.input.len()])?;
        }
        let count = parts(self.blocks(), self.blocks().div_ceil(PARTS), 1);
        let job = Gate {
            map: self,
            affine: Affine {
                scale: &scale,
                shift: &shift,
                bounds: affine.bounds,
            },
            centre: &self.padded("mean", centre)?,
            gradient,
            gated,
        };
        let scratch = (2 * BLOCK + 2) * self.width;
        let parts: Vec<Vec<f64>> = map_tasks(count, scratch, |index, scratch| {
            let blocks = part(self.blocks(), index, count);
            dispatch(self.isa, GateBlocks(&job, blocks, scratch))
        });
        let total = |first: usize| -> Vec<f64> {
            let of = |channel: usize| parts.iter().map(|part| part[first + channel]).sum();
            (0..self.channels).map(of).collect()
        };
        Ok([total(0), total(self.width)])
    }

    /// `gradient = gradient * factor + input * slope + offset`, in place.
    pub(crate) fn differential(
        &self,
        factor: &[f32],
        slope: &[f32],
        offset: &[f32],
        gradient: Output<'_>,
    ) -> Result<(), KernelError> {
        check_length("input gradient", gradient.len, &[self.input.len()])?;
        let job = Differential {
            map: self,
            factor: &self.padded("scale", factor)?,
            slope: &self.padded("slope", slope)?,
            offset: &self.padded("offset", offset)?,
            gradient,
        };
        let count = self.tasks();
        for_each_task(count, 2 * BLOCK * self.width, |index, scratch| {
            let blocks = part(self.blocks(), index, count);
            dispatch(self.isa, DifferentialBlocks(&job, blocks, scratch));
        });
        Ok(())
    }
}

type Blocks = std::ops::Range<usize>;

struct Statistics<'a>(&'a Map<'a>, Blocks, *mut f32, Output<'a>);

impl Kernel for Statistics<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(map, blocks, scratch, output) = self;
        for index in blocks {
            let block = map.block(index);
            let mean = output.at(index * 2 * map.width);
            let deviations = mean.wrapping_add(map.width);
            // SAFETY: scratch has room for a block. The block's moments are this task's, and were 0
            // before.
            unsafe {
                let input = map.read(simd, map.input, block.clone(), scratch);
                normalization::statistics(
                    simd,
                    input,
                    map.width,
                    block.len(),
                    map.width / S::LANES,
                    0.0,
                    mean,
                    deviations,
                );
            }
        }
    }
}

struct Normalize<'a>(&'a Map<'a>, Affine<'a>, Blocks, *mut f32, Output<'a>);

impl Kernel for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(map, affine, blocks, scratch, output) = self;
        for index in blocks {
            let block = map.block(index);
            let output = output.at(block.start * map.channels);
            let results = scratch.wrapping_add(BLOCK * map.width);
            // SAFETY: scratch has room for two blocks. The block of the output is this task's.
            unsafe {
                let job = normalization::Normalize {
                    input: map.read(simd, map.input, block.clone(), scratch),
                    pixel: map.width,
                    count: block.len(),
                    vectors: map.width / S::LANES,
                    scale: affine.scale.as_ptr(),
                    shift: affine.shift.as_ptr(),
                    bounds: affine.bounds,
                    rounding: None,
                    output: if map.direct() { output } else { results },
                    output_pixel: map.width,
                    output_vector: S::LANES,
                };
                normalization::normalize(simd, &job);
                if !map.direct() {
                    store(results, map.width, block.len(), map.channels, 1, output);
                }
            }
        }
    }
}

struct Gate<'a> {
    map: &'a Map<'a>,
    affine: Affine<'a>,
    centre: &'a [f32],
    gradient: &'a [f32],
    gated: Option<Output<'a>>,
}

struct GateBlocks<'a>(&'a Gate<'a>, Blocks, *mut f32);

impl Kernel for GateBlocks<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f64> {
        let Self(job, blocks, scratch) = self;
        let map = job.map;
        let gradient = scratch.wrapping_add(BLOCK * map.width);
        let single = gradient.wrapping_add(BLOCK * map.width);
        let mut sums = vec![0.0f64; 2 * map.width];
        for index in blocks {
            let block = map.block(index);
            // SAFETY: scratch has room for two blocks and two rows of sums. The block of the gated
            // gradient is this task's.
            unsafe {
                let target = Target::by_pixels(gradient, map.width, S::LANES);
                let vectors = 0..map.width / S::LANES;
                let pixels = Pixels::new(job.gradient, map.channels);
                pixels.load(simd, block.clone(), vectors, target);
                single.write_bytes(0, 2 * map.width);
                let gate = normalization::Gate {
                    gradient,
                    gradient_pixel: map.width,
                    input: map.read(simd, map.input, block.clone(), scratch),
                    input_pixel: map.width,
                    count: block.len(),
                    vectors: map.width / S::LANES,
                    scale: job.affine.scale.as_ptr(),
                    shift: job.affine.shift.as_ptr(),
                    mean: job.centre.as_ptr(),
                    bounds: job.affine.bounds,
                    sums: single,
                    products: single.add(map.width),
                };
                normalization::gate(simd, &gate);
                if let Some(gated) = job.gated {
                    let to = gated.at(block.start * map.channels);
                    store(gradient, map.width, block.len(), map.channels, 1, to);
                }
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += f64::from(single.add(lane).read());
                }
            }
        }
        sums
    }
}

struct Differential<'a> {
    map: &'a Map<'a>,
    factor: &'a [f32],
    slope: &'a [f32],
    offset: &'a [f32],
    gradient: Output<'a>,
}

struct DifferentialBlocks<'a>(&'a Differential<'a>, Blocks, *mut f32);

impl Kernel for DifferentialBlocks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(job, blocks, scratch) = self;
        let map = job.map;
        for index in blocks {
            let block = map.block(index);
            let own = job.gradient.at(block.start * map.channels);
            let count = block.len();
            // SAFETY: scratch has room for two blocks. The block of the gradient is this task's. It
            // is initialised, because `gate` wrote it.
            unsafe {
                let gradient = if map.direct() {
                    own
                } else {
                    let values = std::slice::from_raw_parts(own, count * map.channels);
                    let to = scratch.wrapping_add(BLOCK * map.width);
                    map.read(simd, values, 0..count, to).cast_mut()
                };
                let differential = normalization::BatchNormBackward {
                    gradient,
                    input: map.read(simd, map.input, block, scratch),
                    gradient_pixel: map.width,
                    input_pixel: map.width,
                    count,
                    vectors: map.width / S::LANES,
                    factor: job.factor.as_ptr(),
                    slope: job.slope.as_ptr(),
                    offset: job.offset.as_ptr(),
                    output: gradient,
                    output_pixel: map.width,
                    output_vector: S::LANES,
                };
                normalization::batch_norm_backward(simd, &differential);
                if !map.direct() {
                    store(gradient, map.width, count, map.channels, 1, own);
                }
            }
        }
    }
}
