//! Pointwise convolution, and the full one of the first layer by its patches: matrix products over
//! blocks of pixels.
//!
//! ```text
//! forward   z[p, o]  = sum over k of a[p, k] * w[o, k]
//! backward  da[p, k] = sum over o of dz[p, o] * w[o, k]
//!           dw[o, k] = sum over p of dz[p, o] * a[p, k]
//! ```

use super::network::{Layer, TrainingOptions};
use super::pack::BLOCK;
use super::plan::{Places, Step, Vectors};
use super::product::{MOST_VECTORS, Product};
use super::program::Run;
use super::source::{SCRATCH, Target, gap, patches};
use super::statistics::Partial;
use crate::geometry::ConvSize;
use crate::partition::{part, parts};
use crate::simd::{Simd, normalization, outer};

/// Most pixels of a block. More of them would make the outer products' loads and stores of sums
/// rarer still, but they are below a fiftieth of the work already.
const LARGEST_BLOCK: usize = 252;

/// Sums of a thread of its own up to 512 KiB; larger ones would not stay in its L2 cache from
/// block to block.
const LARGEST_OWN_SUMS: usize = 1 << 17;

/// A matrix product.
#[derive(Debug)]
pub(super) struct Matrix {
    taps: usize,
    /// Values of a patch: input channels times taps.
    pub(super) depth: usize,
    /// The same with the zeros that fill up the last vector.
    depth_width: usize,
    /// Output channels with zeros.
    width: usize,
    /// Places of the packed weights.
    pub(super) weights: usize,
    pub(super) transposed: usize,
    /// Number of blocks that the pixels are cut into, and pixels of the largest.
    blocks: usize,
    block: usize,
    /// Threads share the weight gradient by panels of output channels; otherwise by pixels, each
    /// with sums of its own.
    pub(super) splits_panels: bool,
}

impl Matrix {
    pub(super) fn new(
        layer: &Layer,
        size: &ConvSize,
        vectors: Vectors,
        options: &TrainingOptions,
        places: &mut Places,
    ) -> Self {
        let taps = layer.geometry.kernel.iter().product();
        let depth = layer.in_channels * taps;
        let (depth_width, width) = (vectors.width(depth), vectors.width(layer.out_channels));
        let pixels = size.output_rows() * size.columns.output;
        let largest = (SCRATCH / (depth_width + width)).clamp(14, LARGEST_BLOCK);
        let blocks = parts(pixels, largest, options.threads);
        let panels = width.div_ceil(vectors.panel * vectors.lanes);
        Self {
            taps,
            depth,
            depth_width,
            width,
            weights: places.take(width * depth),
            transposed: places.take(depth_width * width),
            blocks,
            block: pixels.div_ceil(blocks),
            splits_panels: depth_width * width > LARGEST_OWN_SUMS && panels >= options.threads,
        }
    }

    /// Values of scratch for a thread.
    pub(super) fn scratch(&self) -> usize {
        self.block * (self.depth_width + gap(self.depth_width)).max(self.depth_width + self.width)
            + 64
    }

    /// Values of sums of the weight gradient.
    pub(super) fn weight_sums(&self) -> usize {
        self.depth_width * self.width
    }

    /// Number of taps.
    pub(super) fn taps(&self) -> usize {
        self.taps
    }

    /// Place of the weight of output channel `channel` and value `k` of a patch.
    pub(super) fn parameter(&self, layer: &Layer, channel: usize, k: usize) -> usize {
        let (tap, input) = (k / layer.in_channels, k % layer.in_channels);
        layer.weights + channel * self.depth + input * self.taps + tap
    }

    /// Rows of the matrix: activations of the layer before, or patches of the images.
    #[inline(always)]
    fn rows<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        step: &Step,
        first: usize,
        count: usize,
        target: Target,
    ) {
        match step.index.checked_sub(1) {
            Some(before) => {
                run.plan.steps[before].activation(simd, run, first, count, target);
            }
            None => {
                let vectors = self.depth_width / S::LANES;
                patches(simd, run, &step.size, (first, count), vectors, target);
            }
        }
    }

    /// The thread's blocks of `z`, and their statistics.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(&self, simd: S, run: &Run<'_>, step: &Step, thread: usize) {
        let scratch = run.scratch(thread);
        let row = self.depth_width + gap(self.depth_width);
        let partial = Partial::cleared(run, step.width, thread);
        let mut seen = 0;
        for block in part(self.blocks, thread, run.threads) {
            let pixels = part(step.pixels, block, self.blocks);
            let (first, count) = (pixels.start, pixels.len());
            let target = Target {
                start: scratch,
                pixel: row,
                vector: S::LANES,
            };
            self.rows(simd, run, step, first, count, target);
            let output = run.pointer(step.map + first * step.width);
            let product = Product {
                input: &[scratch],
                length: self.depth,
                step: row,
                weights: run.pointer(self.weights),
                bias: None,
                depth: self.depth,
                vectors: step.vectors,
                output,
                width: step.width,
            };
            // SAFETY: scratch holds the rows, the packed weights have this size, and the block of
            // the map is this thread's.
            unsafe { product.run(simd, count) }
            if !step.fixed_statistics {
                // SAFETY: the block was just written by this thread; the sums are its own.
                unsafe {
                    normalization::statistics(
                        simd,
                        output,
                        step.width,
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
        let right = run.scratch(thread);
        let left = right.wrapping_add(self.block * self.width);
        let before = step.index.checked_sub(1).map(|i| &run.plan.steps[i]);
        let partial = before.map(|before| Partial::cleared(run, before.width, thread));
        let own = part(self.blocks, thread, run.threads);
        for block in own.clone() {
            let pixels = part(step.pixels, block, self.blocks);
            let (first, count) = (pixels.start, pixels.len());
            if needs_input || !self.splits_panels {
                let target = self.target::<S>(right);
                let all = (0, step.vectors);
                step.map_gradient(simd, run, (first, count), all, target);
            }
            if let (true, Some(before), Some(partial)) = (needs_input, before, &partial) {
                self.input_gradient(simd, run, step, before, first, count, right);
                before.gate(simd, run, first, count, partial);
            }
            if !self.splits_panels {
                self.rows(simd, run, step, first, count, self.target::<S>(left));
                let sums = run.weight_sums(thread);
                let panels = 0..self.panels::<S>();
                self.outer(simd, left, right, count, panels, sums, block != own.start);
            }
        }
        if self.splits_panels {
            let panels = part(self.panels::<S>(), thread, run.threads);
            let vector = panels.start * S::PANEL;
            let vectors = step.vectors.min(panels.end * S::PANEL) - vector;
            for block in 0..self.blocks {
                let pixels = part(step.pixels, block, self.blocks);
                let (first, count) = (pixels.start, pixels.len());
                let start = right.wrapping_add(vector * self.block * S::LANES);
                let target = self.target::<S>(start);
                step.map_gradient(simd, run, (first, count), (vector, vectors), target);
                self.rows(simd, run, step, first, count, self.target::<S>(left));
                let sums = run.weight_sums(0);
                self.outer(simd, left, right, count, panels.clone(), sums, block > 0);
            }
        }
    }

    fn panels<S: Simd>(&self) -> usize {
        self.width.div_ceil(S::PANEL * S::LANES)
    }

    /// Scratch where each vector's pixels lie one after the other.
    fn target<S: Simd>(&self, start: *mut f32) -> Target {
        Target {
            start,
            pixel: S::LANES,
            vector: self.block * S::LANES,
        }
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    fn input_gradient<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        step: &Step,
        before: &Step,
        first: usize,
        count: usize,
        right: *const f32,
    ) {
        let mut segments = [std::ptr::null(); MOST_VECTORS];
        let segments = &mut segments[..step.vectors.min(MOST_VECTORS)];
        for (v, segment) in segments.iter_mut().enumerate() {
            *segment = right.wrapping_add(v * self.block * S::LANES);
        }
        let product = Product {
            input: segments,
            length: S::LANES,
            step: S::LANES,
            weights: run.pointer(self.transposed),
            bias: None,
            depth: step.width,
            vectors: before.vectors,
            output: run.gradients(step).1.wrapping_add(first * before.width),
            width: before.width,
        };
        // SAFETY: scratch holds the gradient by vectors; the packed weights have a row for each of
        // its channels; the block of the gradient is this thread's.
        unsafe { product.run(simd, count) }
    }

    /// Adds a block to the sums of some panels, laid out as the packed weights are.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    fn outer<S: Simd>(
        &self,
        simd: S,
        left: *const f32,
        right: *const f32,
        count: usize,
        panels: std::ops::Range<usize>,
        sums: *mut f32,
        add: bool,
    ) {
        let vectors = self.width / S::LANES;
        for panel in panels {
            let first = panel * S::PANEL;
            let size = S::PANEL.min(vectors - first);
            let mut columns = [std::ptr::null(); 4];
            for (j, column) in columns[..size].iter_mut().enumerate() {
                *column = right.wrapping_add((first + j) * self.block * S::LANES);
            }
            for k in (0..self.depth_width).step_by(S::OUTER_ROWS) {
                let row = size * S::LANES;
                let job = outer::Outer {
                    left: left.wrapping_add(k / S::LANES * self.block * S::LANES + k % S::LANES),
                    left_step: S::LANES,
                    right: &columns[..size],
                    right_step: S::LANES,
                    count,
                    sums: sums.wrapping_add(first * S::LANES * self.depth_width + k * row),
                    row,
                    add,
                };
                // SAFETY: scratch holds `count` pixels of every vector; the panel's sums are this
                // thread's.
                unsafe { outer::run(simd, &job) }
            }
        }
    }

    /// Adds the sums of all threads and writes the thread's share of the weights' gradient.
    pub(super) fn finish(&self, run: &Run<'_>, step: &Step, thread: usize) {
        let vectors = run.plan.vectors;
        let panel = vectors.panel * vectors.lanes;
        let copies = if self.splits_panels { 1 } else { run.threads };
        let out = step.layer.out_channels;
        for index in part(self.width.div_ceil(panel), thread, run.threads) {
            let first = index * panel;
            let lanes = panel.min(self.width - first);
            for start in (0..self.depth).step_by(BLOCK) {
                for channel in first..out.min(first + lanes) {
                    for k in start..self.depth.min(start + BLOCK) {
                        let place = first * self.depth_width + k * lanes + channel - first;
                        let mut sum = 0.0;
                        for copy in 0..copies {
                            // SAFETY: all threads have written their sums before the barrier.
                            sum += unsafe { run.weight_sums(copy).add(place).read() };
                        }
                        let place = match self.taps {
                            1 => step.layer.weights + channel * self.depth + k,
                            _ => self.parameter(&step.layer, channel, k),
                        };
                        // SAFETY: the channel's gradient is this thread's.
                        unsafe { run.parameter_gradient(place).write(sum) }
                    }
                }
            }
        }
    }
}
