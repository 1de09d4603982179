//! The gradients of the input and of the weights.

use std::ops::Range;

use super::MatrixLayer;
use crate::layer::matrix::{Outer, OuterRows, Product, UNBOUNDED};
use crate::layer::rows::{Rows, Target};
use crate::partition::part;
use crate::simd::Simd;
use crate::training::context::PassContext;
use crate::training::covariance::Covariance;
use crate::training::planned_layer::PlannedLayer;
use crate::training::rounded_weights::RoundedWeights;
use crate::training::source::{MapGradient, gate_gradient};
use crate::training::statistics::Partial;

impl MatrixLayer {
    /// Computes the thread's part of the gradients of input and weights.
    #[inline(always)]
    pub(in crate::training) fn backward<S: Simd>(
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
        if own.is_empty() && !self.splits_panels {
            // SAFETY: the sums are this thread's.
            unsafe {
                context
                    .weight_sums(thread)
                    .write_bytes(0, self.weight_sums())
            }
        }
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
    pub(in crate::training) fn finish(
        &self,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
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
                let covariance = Covariance::of(context, layer);
                let of_plain = covariance.map(|of| of.weight_gradient(channel));
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
