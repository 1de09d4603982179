//! Pointwise convolution in training, and full convolution as a product of patches. Each thread
//! computes its blocks of pixels.
//!
//! `a` is the layer's input and `z` its output before normalisation. `da`, `dz` and `dw` are the
//! gradients of `a`, `z` and the weights `w`. With rounded weights, the outputs `o` are those of `y`
//! and then those of `z`: one product with twice the columns.
//!
//! ```text
//! forward   z[p, o]  = sum over k of a[p, k] * w[o, k]
//! backward  da[p, k] = sum over o of dz[p, o] * w[o, k]
//!           dw[o, k] = sum over p of dz[p, o] * a[p, k]
//! ```
//!
//! Where a window has several taps, `a[p, k]` is a patch, and [`InputGradient`] computes `da`.

use std::ops::Range;

use super::context::PassContext;
use super::covariance::Covariance;
use super::input_gradient::InputGradient;
use super::network::{TrainingLayer, TrainingOptions};
use super::offsets::{Offsets, Vectors};
use super::patches::{MapPatches, Side};
use super::planned_layer::PlannedLayer;
use super::rounded_weights::RoundedWeights;
use super::source::{LayerActivation, MapGradient, gate_gradient};
use super::statistics::Partial;
use crate::geometry::ConvSize;
use crate::layer::matrix::{LARGEST_BLOCK, Outer, OuterRows, Product, UNBOUNDED};
use crate::layer::rows::{Patches, Rows, Target};
use crate::layer::{SCRATCH, gap};
use crate::panels::PanelLayout;
use crate::partition::{part, parts};
use crate::simd::Simd;

/// Most sums, 512 KiB, of which each thread has its own copy. Larger ones would not stay in its L2
/// cache from block to block.
pub(super) const LARGEST_OWN_SUMS: usize = 1 << 17;

/// A layer that is a matrix product.
#[derive(Debug)]
pub(super) struct MatrixLayer {
    taps: usize,
    /// Values of a patch for each tap: the input channels, in whole vectors where the input is the
    /// map of another layer.
    tap: usize,
    /// Values of a patch; and the same in whole vectors.
    depth: usize,
    depth_width: usize,
    /// Output channels in whole vectors, and the number of branches that have as many.
    width: usize,
    branches: usize,
    /// Packed weights, with a column per output channel; and transposed, with a column per value of
    /// a patch.
    layout: PanelLayout,
    weights: usize,
    transposed_layout: PanelLayout,
    transposed: usize,
    /// Layout of the sums of the weight gradient.
    sums: PanelLayout,
    /// Number of blocks of pixels, and number of pixels of the largest.
    blocks: usize,
    block: usize,
    /// Of a full convolution after the first layer.
    input_gradient: Option<InputGradient>,
    /// Whether threads divide the weight gradient by panels of output channels. Otherwise they
    /// divide it by pixels, and each has its own sums.
    pub(super) splits_panels: bool,
}

impl MatrixLayer {
    pub(super) fn new(
        layer: &TrainingLayer,
        before: Option<&PlannedLayer>,
        branches: usize,
        covariance: Option<&Covariance>,
        size: &ConvSize,
        vectors: Vectors,
        options: &TrainingOptions,
        offsets: &mut Offsets,
    ) -> Self {
        let taps = layer.geometry.kernel.iter().product();
        // A pointwise layer reads the map as it is.
        let before = before.filter(|_| taps > 1);
        let tap = before.map_or(layer.in_channels, |before| before.width);
        let depth = tap * taps;
        let (depth_width, width) = (vectors.width(depth), vectors.width(layer.out_channels));
        let pixels = size.output_rows() * size.columns.output;
        let columns = (branches - 1) * width + layer.out_channels;
        let all = branches * width;
        let largest = (SCRATCH / (depth_width + all)).clamp(14, LARGEST_BLOCK);
        let blocks = parts(pixels, largest, options.threads);
        let layout = vectors.panels(columns, depth);
        let through_covariance = covariance.map_or(0, |_| depth_width);
        let transposed_layout = vectors.panels(depth, all + through_covariance);
        Self {
            taps,
            tap,
            depth,
            depth_width,
            width,
            branches,
            layout,
            weights: offsets.take(layout.len()),
            transposed_layout,
            transposed: offsets.take(transposed_layout.len()),
            sums: vectors.panels(columns, depth_width),
            blocks,
            block: pixels.div_ceil(blocks),
            input_gradient: before
                .map(|before| InputGradient::new(layer, before, vectors, options, offsets)),
            splits_panels: depth_width * all > LARGEST_OWN_SUMS
                && layout.count() >= options.threads,
        }
    }

    /// Values of scratch per thread.
    pub(super) fn scratch(&self) -> usize {
        let forward = self.depth_width + gap(self.depth_width);
        let backward = self.depth_width + self.branches * self.width;
        let of_input = self.input_gradient.as_ref().map_or(0, |of| of.scratch());
        (self.block * forward.max(backward)).max(of_input) + 64
    }

    /// Values in the sums of the weight gradient.
    pub(super) fn weight_sums(&self) -> usize {
        self.sums.len()
    }

    /// Number of value `k` of a patch among the weights of an output channel; `None` for padding.
    #[inline(always)]
    fn weight(&self, layer: &TrainingLayer, k: usize) -> Option<usize> {
        if self.taps == 1 {
            return (k < self.depth).then_some(k);
        }
        let (tap, input) = (k / self.tap, k % self.tap);
        let exists = tap < self.taps && input < layer.in_channels;
        exists.then_some(input * self.taps + tap)
    }

    /// The reverse of [`Self::weight`].
    fn value(&self, weight: usize) -> usize {
        if self.taps == 1 {
            return weight;
        }
        let (input, tap) = (weight / self.taps, weight % self.taps);
        tap * self.tap + input
    }

    /// Packs the thread's share of the weights.
    #[inline(always)]
    pub(super) fn pack<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        has_gradient: bool,
        thread: usize,
    ) {
        let sources = [context.weights(layer), context.plain_weights(layer)];
        if self.taps > 1 {
            let weight = |column: usize, k| {
                let branch = usize::from(column >= self.width);
                let channel = column - branch * self.width;
                match self.weight(&layer.spec, k) {
                    Some(weight) if channel < layer.spec.out_channels => {
                        sources[branch][channel * layer.spec.depth() + weight]
                    }
                    _ => 0.0,
                }
            };
            context.pack(&self.layout, self.weights, weight, thread);
            if let Some(of_input) = self.input_gradient.as_ref().filter(|_| has_gradient) {
                of_input.pack(context, layer, thread);
            }
            return;
        }
        for (branch, weights) in sources.into_iter().take(self.branches).enumerate() {
            let first = branch * self.width;
            context.pack_columns(simd, &self.layout, first, weights, self.weights, thread);
            if has_gradient {
                let (layout, to) = (&self.transposed_layout, self.transposed);
                context.pack_rows(layout, first, weights, self.depth, to, thread);
            }
        }
    }

    fn block(&self, layer: &PlannedLayer, index: usize) -> Range<usize> {
        part(layer.pixels, index, self.blocks)
    }

    /// Loads rows of the matrix: activations of the layer before, or patches of the images.
    ///
    /// # Safety
    /// The target must have room for them and be this thread's.
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: Option<&PlannedLayer>,
        pixels: Range<usize>,
        target: Target,
    ) {
        let vectors = 0..self.depth_width / S::LANES;
        // SAFETY: the caller guarantees the target.
        unsafe {
            match before {
                Some(before) => {
                    let map = LayerActivation {
                        context,
                        layer: before,
                    };
                    if self.taps == 1 {
                        return map.load(simd, pixels, vectors, target);
                    }
                    let patches = MapPatches {
                        map,
                        vectors: before.vectors,
                        size: &layer.size,
                        side: Side::Output,
                    };
                    patches.load(simd, pixels, vectors, target);
                }
                None => {
                    let patches = Patches {
                        images: context.images,
                        channels: layer.spec.in_channels,
                        size: &layer.size,
                    };
                    patches.load(simd, pixels, vectors, target);
                }
            }
        }
    }

    /// Computes the thread's blocks of `z`, and their statistics.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: Option<&PlannedLayer>,
        thread: usize,
    ) {
        let partial = Partial::cleared(context, layer.width, thread);
        if let Some(covariance) = &layer.covariance {
            return self.forward_with(simd, context, layer, before, covariance, &partial, thread);
        }
        let scratch = context.scratch(thread);
        let row = self.depth_width + gap(self.depth_width);
        let mut seen = 0;
        for block in part(self.blocks, thread, context.threads) {
            let pixels = self.block(layer, block);
            let product = Product {
                input: &[scratch],
                length: self.depth,
                stride: row,
                layout: self.layout,
                panels: 0..self.layout.count(),
                weights: context.pointer(self.weights),
                next: None,
                bias: None,
                bounds: UNBOUNDED,
                output: context.pointer(layer.output(pixels.start)),
                output_stride: layer.pixel(),
            };
            // SAFETY: scratch is this thread's and has room for the rows. The packed weights have
            // this size. The block of the map is this thread's.
            unsafe {
                let target = Target::by_pixels(scratch, row, S::LANES);
                self.load(simd, context, layer, before, pixels.clone(), target);
                product.run(simd, pixels.len());
            }
            partial.add(simd, context, layer, &pixels, &mut seen);
        }
    }

    /// The same where the statistics come from the covariance of the input.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    fn forward_with<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: Option<&PlannedLayer>,
        covariance: &Covariance,
        partial: &Partial,
        thread: usize,
    ) {
        let input = context.scratch(thread);
        let target = Target::by_vectors(input, self.block, S::LANES);
        let segments: Vec<_> = (0..self.depth_width / S::LANES)
            .map(|v| input.wrapping_add(v * self.block * S::LANES).cast_const())
            .collect();
        let divided = covariance.own_panels(thread, context.threads).is_some();
        let own = part(self.blocks, thread, context.threads);
        let mut seen = 0;
        for block in own.clone() {
            let pixels = self.block(layer, block);
            let size = [pixels.len(), self.block];
            let product = Product {
                input: &segments,
                length: S::LANES,
                stride: S::LANES,
                layout: self.layout,
                panels: 0..self.layout.count(),
                weights: context.pointer(self.weights),
                next: None,
                bias: None,
                bounds: UNBOUNDED,
                output: context.pointer(layer.output(pixels.start)),
                output_stride: layer.pixel(),
            };
            // SAFETY: scratch, means, sums, and the block of the map are this thread's.
            unsafe {
                self.load(simd, context, layer, before, pixels.clone(), target);
                product.run(simd, pixels.len());
                covariance.add_means(simd, context, input, size, seen, thread);
                if !divided {
                    let add = block != own.start;
                    covariance.add_products(simd, context, input, size, add, thread);
                }
            }
            partial.add(simd, context, layer, &pixels, &mut seen);
        }
        for block in (0..self.blocks).filter(|_| divided) {
            let pixels = self.block(layer, block);
            let size = [pixels.len(), self.block];
            // SAFETY: scratch and the panels' sums are this thread's.
            unsafe {
                self.load(simd, context, layer, before, pixels, target);
                covariance.add_products(simd, context, input, size, block > 0, thread);
            }
        }
    }

    /// Packs the thread's share of what the gradient of the input gets through `z`, after the weights
    /// of `y`.
    #[inline(always)]
    pub(super) fn pack_gradient<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        if let Some(covariance) = &layer.covariance {
            let to = context.pointer(self.transposed);
            let packed = (to, self.transposed_layout, self.width);
            covariance.pack_gradient(simd, context, layer, packed, thread);
        }
    }

    /// Computes the thread's part of the gradients of input and weights.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: Option<&PlannedLayer>,
        needs_input: bool,
        thread: usize,
    ) {
        let right = context.scratch(thread);
        let left = right.wrapping_add(self.block * self.branches * self.width);
        let by_vectors = |start| Target::by_vectors(start, self.block, S::LANES);
        let partial = before.map(|before| Partial::cleared(context, before.width, thread));
        let outer = |count, panels, sums, add| Outer {
            left,
            right,
            count,
            block: self.block,
            layout: self.sums,
            rows: OuterRows::From(0),
            panels,
            sums,
            add,
        };
        let of_input = self.input_gradient.as_ref().filter(|_| needs_input);
        if let (Some(of_input), Some(before), Some(partial)) = (of_input, before, &partial) {
            of_input.run(simd, context, layer, before, partial, thread);
        }
        let needs_input = needs_input && of_input.is_none();
        let own = part(self.blocks, thread, context.threads);
        for block in own.clone() {
            let pixels = self.block(layer, block);
            // SAFETY: scratch, sums, and the block of the gradient are this thread's.
            unsafe {
                if needs_input || !self.splits_panels {
                    let all = 0..self.branches * layer.vectors;
                    self.load_gradient(simd, context, layer, pixels.clone(), all, right);
                }
                let reads_input = needs_input && layer.covariance.is_some();
                if reads_input || !self.splits_panels {
                    let left = by_vectors(left);
                    self.load(simd, context, layer, before, pixels.clone(), left);
                }
                if let (true, Some(before), Some(partial)) = (needs_input, before, &partial) {
                    self.input_gradient(simd, context, layer, before, &pixels, right);
                    gate_gradient(simd, context, before, pixels.clone(), partial);
                }
                if !self.splits_panels {
                    let (sums, add) = (context.weight_sums(thread), block != own.start);
                    outer(pixels.len(), 0..self.sums.count(), sums, add).run(simd);
                }
            }
        }
        if self.splits_panels {
            let panels = part(self.sums.count(), thread, context.threads);
            let first = panels.start * S::PANEL;
            let vectors = first..(self.branches * layer.vectors).min(panels.end * S::PANEL);
            for block in 0..self.blocks {
                let pixels = self.block(layer, block);
                let start = right.wrapping_add(first * self.block * S::LANES);
                // SAFETY: scratch and the panels' sums are this thread's.
                unsafe {
                    let vectors = vectors.clone();
                    self.load_gradient(simd, context, layer, pixels.clone(), vectors, start);
                    self.load(
                        simd,
                        context,
                        layer,
                        before,
                        pixels.clone(),
                        by_vectors(left),
                    );
                    let sums = context.weight_sums(0);
                    outer(pixels.len(), panels.clone(), sums, block > 0).run(simd);
                }
            }
        }
    }

    /// Loads vectors of the gradient by vectors; those of the second branch follow the first one's.
    ///
    /// # Safety
    /// `to` must have room for them and be this thread's.
    #[inline(always)]
    unsafe fn load_gradient<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        pixels: Range<usize>,
        vectors: Range<usize>,
        to: *mut f32,
    ) {
        for branch in 0..self.branches {
            let first = branch * layer.vectors;
            let own = vectors.start.max(first)..vectors.end.min(first + layer.vectors);
            if own.is_empty() {
                continue;
            }
            let to = to.wrapping_add((own.start - vectors.start) * self.block * S::LANES);
            let target = Target::by_vectors(to, self.block, S::LANES);
            let gradient = MapGradient {
                context,
                layer,
                branch,
            };
            let own = own.start - first..own.end - first;
            // SAFETY: the caller guarantees the target.
            unsafe { gradient.load(simd, pixels.clone(), own, target) }
        }
    }

    /// # Safety
    /// `right` must hold the gradient of the pixels by vectors, and with a covariance the input after
    /// it. Both and the pixels must be this thread's.
    #[inline(always)]
    unsafe fn input_gradient<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: &PlannedLayer,
        pixels: &Range<usize>,
        right: *const f32,
    ) {
        let vector = self.block * S::LANES;
        let segments: Vec<_> = (0..self.transposed_layout.depth() / S::LANES)
            .map(|v| right.wrapping_add(v * vector))
            .collect();
        let bias = context.pointer(context.shared.input_bias).cast_const();
        let product = Product {
            input: &segments,
            length: S::LANES,
            stride: S::LANES,
            layout: self.transposed_layout,
            panels: 0..self.transposed_layout.count(),
            weights: context.pointer(self.transposed),
            next: None,
            bias: layer.covariance.as_ref().map(|_| bias),
            bounds: UNBOUNDED,
            output: context
                .gradient_before(layer)
                .wrapping_add(pixels.start * before.width),
            output_stride: before.width,
        };
        // SAFETY: the packed weights have a row for each channel of the gradient, padding included.
        // The caller guarantees the rest.
        unsafe { product.run(simd, pixels.len()) }
    }

    /// Adds the sums of all threads, and writes the thread's share of the gradient of the weights.
    pub(super) fn finish(&self, context: &PassContext<'_>, layer: &PlannedLayer, thread: usize) {
        let copies = if self.splits_panels {
            1
        } else {
            context.threads
        };
        let sum = |offset: usize| {
            // SAFETY: all threads have written their sums before the barrier.
            let of = |copy| unsafe { context.weight_sums(copy).add(offset).read() };
            (0..copies).map(of).sum::<f32>()
        };
        if let Some(planned) = &layer.rounded {
            let weights = RoundedWeights { context, planned };
            let grids = weights.grids();
            for channel in part(layer.spec.out_channels, thread, context.threads) {
                let second = (self.branches - 1) * self.width;
                let columns = [0, second].map(|first| self.sums.column(first + channel));
                let of = |branch: usize, weight: usize| {
                    let (first, step) = columns[branch];
                    sum(first + self.value(weight) * step)
                };
                let covariance = layer.covariance.as_ref();
                let of_plain =
                    covariance.map(|of| of.weight_gradient(context, layer, channel));
                let of_plain = |weight| match (&of_plain, self.branches) {
                    (Some(of_plain), _) => of_plain(weight),
                    (None, 1) => 0.0,
                    (None, _) => of(1, weight),
                };
                let grid = grids.get(channel);
                weights.write_gradient(&grid, channel, |weight| of(0, weight), of_plain);
            }
            return;
        }
        for index in part(self.sums.count(), thread, context.threads) {
            let panel = self.sums.panel(index);
            panel.for_each(|channel, k, index| {
                if let Some(weight) = self.weight(&layer.spec, k) {
                    let weight = channel * layer.spec.depth() + weight;
                    let gradient = context.parameter_gradient(layer.spec.weights + weight);
                    // SAFETY: the channel's gradient is this thread's.
                    unsafe { gradient.write(sum(panel.offset() + index)) }
                }
            });
        }
    }
}
