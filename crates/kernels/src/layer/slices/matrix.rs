//! Matrix products on slices: pointwise convolution, full convolution as a product of its patches,
//! and the gradients of both.

use std::ops::Range;

use super::weights::Weights;
use super::{Epilogue, Output, for_each_task};
use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::layer::matrix::{LARGEST_BLOCK, Outer, OuterRows, Product};
use crate::layer::rows::{Patches, Pixels, Rows, Target};
use crate::layer::{SCRATCH, gap};
use crate::panels::PanelLayout;
use crate::partition::{part, parts};
use crate::simd::{self, Isa, Kernel, Simd, dispatch};

/// Most weights, 256 KiB, that a task packs at once, so that they stay in the L2 cache. Larger
/// matrices are packed panel by panel.
const LARGEST_WEIGHTS: usize = 1 << 16;

/// Most sums, 512 KiB, of which each task has its own copy. Larger ones are divided by panels.
const LARGEST_OWN_SUMS: usize = 1 << 17;

/// Most parts that a sum over pixels is divided into.
const PARTS: usize = 16;

/// Pixels per task, about: with fewer, packing the weights for each task would not pay.
const LEAST_PIXELS: usize = 112;

/// The rows of a product.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    /// `[pixels, channels]`.
    Pixels(&'a [f32], usize),
    /// Windows of a full convolution.
    Patches(Patches<'a>),
}

impl Input<'_> {
    /// Checks the length. Returns the number of rows, and of values in each.
    fn shape(&self, what: &'static str) -> Result<[usize; 2], KernelError> {
        match *self {
            Self::Pixels(_, 0) => Err(KernelError::Zero { what: "channels" }),
            Self::Pixels(values, channels) => {
                let pixels = values.len() / channels;
                check_length(what, values.len(), &[pixels, channels])?;
                Ok([pixels, channels])
            }
            Self::Patches(Patches { channels: 0, .. }) => {
                Err(KernelError::Zero { what: "channels" })
            }
            Self::Patches(patches) => {
                let (size, channels) = (patches.size, patches.channels);
                check_length(what, patches.images.len(), &[size.input_len(channels)?])?;
                let taps = [size.rows.kernel, size.columns.kernel, channels];
                Ok([size.output_len(1)?, crate::error::volume("window", &taps)?])
            }
        }
    }

    /// # Safety
    /// As [`Rows::load`], for all vectors of some rows.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, pixels: Range<usize>, vectors: usize, target: Target) {
        // SAFETY: the caller guarantees the target.
        unsafe {
            match *self {
                Self::Pixels(values, channels) => {
                    Pixels::new(values, channels).load(simd, pixels, 0..vectors, target);
                }
                Self::Patches(patches) => patches.load(simd, pixels, 0..vectors, target),
            }
        }
    }
}

fn panels(isa: Isa, columns: usize, depth: usize) -> PanelLayout {
    PanelLayout::new(columns, depth, isa.lanes(), simd::panel_vectors(isa))
}

/// `output[p, column] = epilogue(sum over k of input[p, k] * weights[column, k])`.
pub(crate) fn multiply(
    input: Input<'_>,
    shape: &Weights,
    weights: &[f32],
    epilogue: &Epilogue<'_>,
    output: Output<'_>,
) -> Result<(), KernelError> {
    let [pixels, depth] = input.shape("input")?;
    check_length("input's channels", depth, &[shape.depth])?;
    check_length("weights", weights.len(), &[shape.columns, depth])?;
    check_length("output", output.len, &[pixels, shape.columns])?;
    epilogue.check(shape.columns)?;
    if shape.columns == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    if pixels == 0 {
        return Ok(());
    }
    let isa = Isa::current()?;
    let layout = panels(isa, shape.columns, depth);
    let threads = rayon::current_num_threads();
    // A small matrix is divided by pixels only. A large one has one task per panel, and is also
    // divided by pixels if there are fewer panels than threads.
    let whole = layout.len() <= LARGEST_WEIGHTS;
    let panel_tasks = if whole { 1 } else { layout.count() };
    let pixel_tasks = if threads == 1 || panel_tasks >= threads {
        1
    } else {
        parts(pixels, LEAST_PIXELS, 1).min(4 * threads)
    };
    let row = depth.next_multiple_of(isa.lanes()) + gap(depth);
    let block = (SCRATCH / (row + layout.width())).clamp(14, LARGEST_BLOCK);
    let job = Multiply {
        input,
        shape,
        weights,
        epilogue,
        layout,
        tasks: [panel_tasks, pixel_tasks],
        pixels,
        block,
        row,
        output,
    };
    let scratch = job.scratch();
    for_each_task(panel_tasks * pixel_tasks, scratch, |index, scratch| {
        dispatch(isa, MultiplyTask(&job, index, scratch));
    });
    Ok(())
}

struct Multiply<'a> {
    input: Input<'a>,
    shape: &'a Weights,
    weights: &'a [f32],
    epilogue: &'a Epilogue<'a>,
    layout: PanelLayout,
    /// Number of parts of the panels, and of the pixels.
    tasks: [usize; 2],
    pixels: usize,
    /// Pixels of a block, and values from row to row of patches.
    block: usize,
    row: usize,
    output: Output<'a>,
}

impl Multiply<'_> {
    /// Values of scratch of a task: biases, packed weights, patches and results. It is computed as
    /// if all panels had full width.
    fn scratch(&self) -> usize {
        let width = self.width();
        width * (1 + self.layout.depth()) + self.block * (self.row + width) + 64
    }

    /// Most columns of a task, padding included.
    fn width(&self) -> usize {
        let widest = self.layout.panel(0).width;
        self.layout.count().div_ceil(self.tasks[0]) * widest
    }
}

struct MultiplyTask<'a>(&'a Multiply<'a>, usize, *mut f32);

impl Kernel for MultiplyTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(job, index, scratch) = self;
        let [panel_tasks, pixel_tasks] = job.tasks;
        let panels = part(job.layout.count(), index % panel_tasks, panel_tasks);
        let pixels = part(job.pixels, index / panel_tasks, pixel_tasks);
        let first = job.layout.panel(panels.start);
        let last = job.layout.panel(panels.end - 1);
        let columns = last.first + last.columns - first.first;
        let width = last.first + last.width - first.first;
        let weights = scratch.wrapping_add(job.width());
        let rows = weights.wrapping_add(job.width() * job.layout.depth());
        let results = rows.wrapping_add(job.block * job.row);
        // SAFETY: scratch is this thread's and has room for all of this (see `Multiply::scratch`).
        // `multiply` checked the lengths of the slices. These pixels and columns of the output are
        // this task's.
        unsafe {
            for lane in 0..width {
                let bias = if lane < columns {
                    job.epilogue.shift(first.first + lane)
                } else {
                    0.0
                };
                scratch.add(lane).write(bias);
            }
            for index in panels.clone() {
                let panel = job.layout.panel(index);
                let to = weights.add(panel.offset() - first.offset());
                job.shape.pack(simd, job.weights, &panel, job.epilogue, to);
            }
            let blocks = parts(pixels.len(), job.block, 1);
            for index in 0..blocks {
                let block = part(pixels.len(), index, blocks);
                let block = pixels.start + block.start..pixels.start + block.end;
                let (input, stride) = match job.input {
                    Input::Pixels(values, channels) => {
                        (values.as_ptr().add(block.start * channels), channels)
                    }
                    Input::Patches(_) => {
                        let vectors = job.layout.depth().div_ceil(S::LANES);
                        let target = Target::by_pixels(rows, job.row, S::LANES);
                        job.input.load(simd, block.clone(), vectors, target);
                        (rows.cast_const(), job.row)
                    }
                };
                let out = job.shape.columns;
                let direct = columns == width;
                let output = job.output.at(block.start * out + first.first);
                let to = if direct { output } else { results };
                let product = Product {
                    input: &[input],
                    length: job.layout.depth(),
                    stride,
                    layout: job.layout,
                    panels: panels.clone(),
                    weights: weights.wrapping_sub(first.offset()),
                    // The weights of the next task, if the columns are contiguous.
                    next: Some(
                        job.weights
                            .as_ptr()
                            .wrapping_add(last.offset() + last.len()),
                    ),
                    bias: Some(scratch.wrapping_sub(first.first).cast_const()),
                    bounds: job.epilogue.bounds(),
                    output: to.wrapping_sub(first.first),
                    output_stride: if direct { out } else { width },
                };
                product.run(simd, block.len());
                if !direct {
                    for p in 0..block.len() {
                        let (from, to) = (results.add(p * width), output.add(p * out));
                        to.copy_from_nonoverlapping(from, columns);
                    }
                }
            }
        }
    }
}

/// The gradient of a full convolution's input, image by image. The product of the output's gradient
/// and the weights is the gradient of each patch. A value of the image is in several patches, whose
/// gradients are added.
pub(crate) fn input_gradient(
    size: &ConvSize,
    channels: usize,
    columns: usize,
    weights: &[f32],
    gradient: &[f32],
    output: &mut [f32],
) -> Result<(), KernelError> {
    let patches = Patches {
        images: &[],
        channels,
        size,
    };
    let pixels = size.rows.output * size.columns.output;
    let taps = [size.rows.kernel, size.columns.kernel, channels];
    let depth = crate::error::volume("window", &taps)?;
    let image = crate::error::volume("image", &[size.rows.input, size.columns.input, channels])?;
    check_length(
        "output gradient",
        gradient.len(),
        &[size.output_len(columns)?],
    )?;
    check_length("input gradient", output.len(), &[size.input_len(channels)?])?;
    output.fill(0.0);
    let of_patches = Weights::columns_first(depth, columns);
    let mut patch_gradients = vec![0.0; pixels * depth];
    let gradients = gradient.chunks_exact(pixels * columns);
    for (values, gradient) in output.chunks_exact_mut(image).zip(gradients) {
        let input = Input::Pixels(gradient, columns);
        let to = Output::from(&mut patch_gradients[..]);
        multiply(input, &of_patches, weights, &Epilogue::default(), to)?;
        for (pixel, patch) in patch_gradients.chunks_exact(depth).enumerate() {
            patches.runs(patches.place(pixel), |run, to| {
                let Some(to) = to else { return };
                for (sum, value) in values[to..].iter_mut().zip(&patch[run]) {
                    *sum += value;
                }
            });
        }
    }
    Ok(())
}

/// The gradient of weights: for each column and `k`, the sum over pixels of `right[p, column] *
/// left[p, k]`.
pub(crate) fn weight_gradient(
    left: Input<'_>,
    right: &[f32],
    shape: &Weights,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let [pixels, depth] = left.shape("input")?;
    check_length("input's channels", depth, &[shape.depth])?;
    check_length("output gradient", right.len(), &[pixels, shape.columns])?;
    check_length("weight gradient", output.len(), &[shape.columns, depth])?;
    if shape.columns == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    let isa = Isa::current()?;
    let depth_width = depth.next_multiple_of(isa.lanes());
    let layout = panels(isa, shape.columns, depth_width);
    let block = (SCRATCH / (depth_width + layout.width())).clamp(14, LARGEST_BLOCK);
    let own = layout.len() <= LARGEST_OWN_SUMS;
    let blocks = parts(pixels, block, 1);
    let tasks = if own {
        [1, PARTS.min(blocks)]
    } else {
        [PARTS.min(layout.count()), 1]
    };
    let mut sums = vec![0.0; tasks[1] * layout.len()];
    let job = OuterJob {
        left,
        right: Pixels::new(right, shape.columns),
        layout,
        tasks,
        pixels,
        block,
        sums: Output::from(&mut sums[..]),
    };
    let scratch = block * (depth_width + layout.width());
    for_each_task(tasks[0] * tasks[1], scratch, |index, scratch| {
        dispatch(isa, OuterTask(&job, index, scratch));
    });
    for panel in layout.panels() {
        panel.for_each(|column, k, index| {
            if k < depth {
                let of = |part: usize| sums[part * layout.len() + panel.offset() + index];
                output[shape.at(column, k)] = (0..tasks[1]).map(of).sum();
            }
        });
    }
    Ok(())
}

struct OuterJob<'a> {
    left: Input<'a>,
    right: Pixels<'a>,
    layout: PanelLayout,
    /// Number of parts of the panels, and of the pixels.
    tasks: [usize; 2],
    pixels: usize,
    block: usize,
    /// The sums of all panels, one copy per part of the pixels.
    sums: Output<'a>,
}

struct OuterTask<'a>(&'a OuterJob<'a>, usize, *mut f32);

impl Kernel for OuterTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(job, index, right) = self;
        let [panel_tasks, pixel_tasks] = job.tasks;
        let (pixel_task, panel_task) = (index / panel_tasks, index % panel_tasks);
        let panels = part(job.layout.count(), panel_task, panel_tasks);
        let pixels = part(job.pixels, pixel_task, pixel_tasks);
        let all = job.layout.width() / S::LANES;
        let vectors = panels.start * S::PANEL..all.min(panels.end * S::PANEL);
        let left = right.wrapping_add(job.block * job.layout.width());
        let of_panels = right.wrapping_add(vectors.start * job.block * S::LANES);
        let blocks = parts(pixels.len(), job.block, 1);
        for index in 0..blocks {
            let block = part(pixels.len(), index, blocks);
            let block = pixels.start + block.start..pixels.start + block.end;
            let outer = Outer {
                left,
                right,
                count: block.len(),
                block: job.block,
                layout: job.layout,
                rows: OuterRows::From(0),
                panels: panels.clone(),
                sums: job.sums.at(pixel_task * job.layout.len()),
                add: true,
            };
            // SAFETY: scratch is this thread's and has room for a block of both factors. The
            // lengths were checked. These sums of the panels are this task's.
            unsafe {
                let target = Target::by_vectors(of_panels, job.block, S::LANES);
                job.right.load(simd, block.clone(), vectors.clone(), target);
                let target = Target::by_vectors(left, job.block, S::LANES);
                let depth = job.layout.depth() / S::LANES;
                job.left.load(simd, block, depth, target);
                outer.run(simd);
            }
        }
    }
}
