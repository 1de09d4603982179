//! The gradients of the input and of the weights.

use std::ops::Range;

use super::MatrixLayer;
use crate::layer::matrix::{Outer, OuterRows, Product, UNBOUNDED};
use crate::layer::rows::{Rows, Target};
use crate::panels::Panel;
use crate::partition::part;
use crate::simd::Simd;
use crate::simd::transpose::Columns;
use crate::training::context::PassContext;
use crate::training::covariance::Covariance;
use crate::training::planned_layer::PlannedLayer;
use crate::training::rounded_weights::RoundedWeights;
use crate::training::source::{Branch, MapGradient, gate_gradient};
use crate::training::statistics::{Partial, sum_through_z};

/// Values of the sums that are added and transposed at a time. No panel is wider.
const SUMS_AT_ONCE: usize = 1024;

/// Channels whose gradients are written at a time.
const CHANNELS: usize = 8;

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
        let panels = self.weight_panels(context, layer);
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
                let all = 0..self.branches * layer.vectors;
                if needs_input || !self.splits_panels {
                    let last = Branch::Z;
                    self.load_gradient(simd, context, layer, (&pixels, all.clone()), last, right);
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
                    if self.branches > 1 {
                        let both = layer.vectors..all.end;
                        let to = right.wrapping_add(both.start * self.block * S::LANES);
                        self.load_gradient(simd, context, layer, (&pixels, both), Branch::Both, to);
                    }
                    let (sums, add) = (context.weight_sums(thread), block != own.start);
                    for panels in panels.chunk_by(|a, b| a + 1 == *b) {
                        let panels = panels[0]..panels[0] + panels.len();
                        outer(pixels.len(), panels, sums, add).run(simd);
                    }
                }
            }
        }
        if self.splits_panels {
            let panels = &panels[part(panels.len(), thread, context.threads)];
            for block in 0..self.blocks {
                let pixels = self.block(layer, block);
                let input = by_vectors(left);
                // SAFETY: scratch and the panels' sums are this thread's.
                unsafe {
                    self.load(simd, context, layer, before, pixels.clone(), input);
                    for panels in panels.chunk_by(|a, b| a + 1 == *b) {
                        let panels = panels[0]..panels[0] + panels.len();
                        let first = panels.start * S::PANEL;
                        let end = panels.end * S::PANEL;
                        let vectors = first..end.min(self.branches * layer.vectors);
                        let to = right.wrapping_add(first * self.block * S::LANES);
                        let last = Branch::Both;
                        self.load_gradient(simd, context, layer, (&pixels, vectors), last, to);
                        let sums = context.weight_sums(0);
                        outer(pixels.len(), panels, sums, block > 0).run(simd);
                    }
                }
            }
        }
    }

    /// The panels of the weight gradient that are computed. With two branches, weights get theirs through
    /// both, and that of `y` alone is needed only for channels that are apart.
    fn weight_panels(&self, context: &PassContext<'_>, layer: &PlannedLayer) -> Vec<usize> {
        let all = 0..self.sums.count();
        let rounded = layer.rounded.as_ref().filter(|_| self.branches > 1);
        let Some(planned) = rounded else {
            return all.collect();
        };
        let weights = RoundedWeights { context, planned };
        let grids = weights.grids();
        let is_needed = |&index: &usize| {
            let panel = self.sums.panel(index);
            let columns = panel.first..panel.first + panel.columns;
            let channels = columns.start..columns.end.min(layer.spec.out_channels);
            let is_apart = |channel| weights.is_apart(&grids.get(channel), channel);
            columns.end > self.width || channels.into_iter().any(is_apart)
        };
        all.filter(is_needed).collect()
    }

    /// Loads vectors of the gradient by vectors; those of the last branch follow the first one's.
    ///
    /// # Safety
    /// `to` must have room for them and be this thread's.
    #[inline(always)]
    unsafe fn load_gradient<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        (pixels, vectors): (&Range<usize>, Range<usize>),
        last: Branch,
        to: *mut f32,
    ) {
        for (index, branch) in [Branch::Y, last]
            .into_iter()
            .enumerate()
            .take(self.branches)
        {
            let first = index * layer.vectors;
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
            weights: context.packed(),
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

    /// Writes the thread's share of the gradient of the weights.
    #[inline(always)]
    pub(in crate::training) fn finish<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        let rounded = layer.rounded.as_ref();
        let rounded = rounded.map(|planned| RoundedWeights { context, planned });
        let grids = rounded.as_ref().map(RoundedWeights::grids);
        for index in part(self.sums.count(), thread, context.threads) {
            let panel = self.sums.panel(index);
            let channels = panel.first..layer.spec.out_channels.min(panel.first + panel.columns);
            if channels.is_empty() {
                continue;
            }
            let Some((weights, grids)) = rounded.as_ref().zip(grids.as_ref()) else {
                self.add_sums(simd, context, layer, &panel, channels.len());
                continue;
            };
            let is_apart = |channel| weights.is_apart(&grids.get(channel), channel);
            if self.branches == 1 || channels.clone().any(is_apart) {
                self.add_sums(simd, context, layer, &panel, channels.len());
            }
            let depth = layer.spec.depth();
            let mut plain = vec![0.0; S::LANES * depth];
            for start in channels.clone().step_by(S::LANES) {
                let some = start..channels.end.min(start + S::LANES);
                self.plain_gradients(simd, context, layer, some.clone(), &mut plain);
                for (channel, plain) in some.zip(plain.chunks_exact(depth)) {
                    let grid = grids.get(channel);
                    if self.branches == 1 {
                        weights.write_gradient(&grid, channel, plain);
                    } else {
                        let through_z = sum_through_z(context, layer, channel);
                        weights.write_both(&grid, channel, plain, through_z);
                    }
                }
            }
        }
    }

    /// Writes the gradients that reach the weights of a vector's channels through `z`, if that is not
    /// `y`; with two branches, those through both.
    #[inline(always)]
    fn plain_gradients<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        channels: Range<usize>,
        to: &mut [f32],
    ) {
        let depth = layer.spec.depth();
        if let Some(covariance) = Covariance::of(context, layer) {
            for (channel, to) in channels.zip(to.chunks_exact_mut(depth)) {
                covariance.weight_gradient(channel, to);
                if self.taps > 1 {
                    let by_patch = to.to_vec();
                    for (weight, to) in to.iter_mut().enumerate() {
                        *to = by_patch[self.value(weight)];
                    }
                }
            }
            return;
        }
        if self.branches == 1 {
            return;
        }
        let column = (self.branches - 1) * self.width + channels.start;
        let (first, step) = self.sums.column(column);
        if self.taps > 1 {
            for (lane, to) in to.chunks_exact_mut(depth).enumerate().take(channels.len()) {
                for (weight, to) in to.iter_mut().enumerate() {
                    *to = self.sum(context, first + lane + self.value(weight) * step);
                }
            }
            return;
        }
        // Some rows of all threads are added, and then become columns.
        let mut sums = [0.0; SUMS_AT_ONCE];
        for start in (0..depth).step_by(SUMS_AT_ONCE / S::LANES) {
            let rows = (depth - start).min(SUMS_AT_ONCE / S::LANES);
            let sums = &mut sums[..rows * S::LANES];
            for copy in 0..self.copies(context) {
                let from = context.weight_sums(copy).wrapping_add(first + start * step);
                for (row, sums) in sums.chunks_exact_mut(S::LANES).enumerate() {
                    // SAFETY: all threads have written their sums before the barrier.
                    unsafe {
                        let mut sum = simd.load(from.add(row * step));
                        if copy > 0 {
                            sum = simd.add(sum, simd.load(sums.as_ptr()));
                        }
                        simd.store(sums.as_mut_ptr(), sum);
                    }
                }
            }
            let to = to[start..].as_mut_ptr();
            let columns = Columns::new(sums, S::LANES);
            // SAFETY: there is room for a vector of channels.
            unsafe { columns.transpose(simd, 0..channels.len(), |_| 1.0, to, depth) }
        }
    }

    /// The sum over all threads of one of their sums.
    #[inline(always)]
    fn sum(&self, context: &PassContext<'_>, offset: usize) -> f32 {
        // SAFETY: all threads have written their sums before the barrier.
        let of = |copy| unsafe { context.weight_sums(copy).add(offset).read() };
        (0..self.copies(context)).map(of).sum()
    }

    /// Number of threads that have sums of the same weights.
    fn copies(&self, context: &PassContext<'_>) -> usize {
        match self.splits_panels {
            true => 1,
            false => context.threads,
        }
    }

    /// Adds the sums of all threads for the first channels of a panel, and writes them as the gradients
    /// of these channels' weights. The panel's channels must be this thread's.
    #[inline(always)]
    fn add_sums<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        panel: &Panel,
        channels: usize,
    ) {
        let depth = layer.spec.depth();
        let gradient = context.parameter_gradient(layer.spec.weights + panel.first * depth);
        if self.taps > 1 {
            for k in 0..self.depth {
                let Some(weight) = self.weight(&layer.spec, k) else {
                    continue;
                };
                for channel in 0..channels {
                    let sum = self.sum(context, panel.offset() + panel.row(k).start + channel);
                    // SAFETY: the channels' gradients are this thread's.
                    unsafe { gradient.add(channel * depth + weight).write(sum) }
                }
            }
            return;
        }
        // Some rows of all threads are added, and then become columns.
        let mut sums = [0.0; SUMS_AT_ONCE];
        let rows = SUMS_AT_ONCE / panel.width;
        for first in (0..depth).step_by(rows) {
            let sums = &mut sums[..rows.min(depth - first) * panel.width];
            for copy in 0..self.copies(context) {
                let of_thread = context
                    .weight_sums(copy)
                    .wrapping_add(panel.offset() + panel.row(first).start);
                // SAFETY: all threads have written their sums before the barrier.
                let of_thread = unsafe { std::slice::from_raw_parts(of_thread, sums.len()) };
                if copy == 0 {
                    sums.copy_from_slice(of_thread);
                } else {
                    let pairs = sums.iter_mut().zip(of_thread);
                    pairs.for_each(|(sum, more)| *sum += more);
                }
            }
            let sums = Columns::new(sums, panel.width);
            // Few channels at a time: their gradients are often a multiple of 4 KiB apart, so that
            // they share a set of L1.
            for some in (0..channels).step_by(CHANNELS) {
                let to = gradient.wrapping_add(some * depth + first);
                let some = some..channels.min(some + CHANNELS);
                // SAFETY: the channels' gradients are this thread's.
                unsafe { sums.transpose(simd, some, |_| 1.0, to, depth) }
            }
        }
    }
}
