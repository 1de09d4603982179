//! Depthwise convolution in training. Each thread computes its bands, forward and backward. `z` is
//! the layer's output before normalisation. With rounded weights, there are two branches: `y`, and
//! `z`, which is not kept: that costs more time than to compute it again for its gradient.

use super::context::PassContext;
use super::layer_weights::LayerWeights;
use super::network::{TrainingLayer, TrainingOptions};
use super::offsets::{Offsets, Vectors};
use super::planned_layer::{Coefficient, PlannedLayer};
use super::rounded_weights::RoundedWeights;
use super::source::{Branch, LayerActivation, MapGradient, gate_gradient};
use super::statistics::Partial;
use crate::geometry::ConvSize;
use crate::layer::depthwise::{Band, Bands};
use crate::layer::matrix::UNBOUNDED;
use crate::partition::part;
use crate::simd::Simd;
use crate::simd::elementwise::{AddScaled, add_scaled};

/// A depthwise convolution.
#[derive(Debug)]
pub(super) struct DepthwiseLayer {
    bands: Bands,
    branches: usize,
    /// Offset of the packed weights of all branches, and of those that compute `dz` from the input.
    weights: usize,
    of_gradient: usize,
}

impl DepthwiseLayer {
    pub(super) fn new(
        layer: &TrainingLayer,
        branches: usize,
        size: &ConvSize,
        vectors: Vectors,
        options: &TrainingOptions,
        offsets: &mut Offsets,
    ) -> Self {
        let least = options.threads.div_ceil(size.batch);
        let width = vectors.width(layer.out_channels);
        let bands = match branches {
            1 => Bands::new(size, width, least),
            _ => Bands::widened(size, width, least),
        };
        Self {
            weights: offsets.take(branches * bands.weights_len()),
            of_gradient: offsets.take((branches - 1) * bands.weights_len()),
            branches,
            bands,
        }
    }

    /// Values in the sums of the weight gradient.
    pub(super) fn weight_sums(&self) -> usize {
        self.branches * self.bands.sums_len()
    }

    /// Values of scratch per thread.
    pub(super) fn scratch(&self) -> usize {
        let sum = match self.branches {
            1 => 0,
            _ => self.bands.results_len(),
        };
        self.bands.scratch_len() + sum
    }

    /// Offset of the packed weights of a branch.
    fn weights(&self, branch: usize) -> usize {
        self.weights + branch * self.bands.weights_len()
    }

    /// Packs the thread's share of the weights.
    #[inline(always)]
    pub(super) fn pack<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        let (taps, lanes) = (self.bands.taps(), context.vectors.lanes);
        let vectors = part(layer.vectors, thread, context.threads);
        let [start, end] =
            [vectors.start, vectors.end].map(|v| layer.spec.out_channels.min(v * lanes));
        let channels = start..end;
        let sources = [
            LayerWeights::of(context, layer),
            LayerWeights::plain(context, layer),
        ];
        for (branch, weights) in sources.iter().take(self.branches).enumerate() {
            let weights = weights.of_channels(simd, channels.clone());
            let weight = |channel: usize, tap: usize| match channel < channels.end {
                true => weights[(channel - channels.start) * taps + tap],
                false => 0.0,
            };
            let to = context.pointer(self.weights(branch));
            for vector in vectors.clone() {
                // SAFETY: the vector is this thread's, and the arena has room for all packed
                // weights.
                unsafe {
                    self.bands.pack(lanes, vector, weight, |_| 0.0, to);
                    self.bands.pack_phases(lanes, vector, weight, to);
                }
            }
        }
    }

    /// Whether the gradient of `z` needs weights of its own.
    pub(super) fn packs_gradient(&self) -> bool {
        self.branches > 1
    }

    /// Packs the thread's share of the weights that compute `dz = z * slope + offset` from the input.
    pub(super) fn pack_gradient(
        &self,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        let (taps, weights) = (self.bands.taps(), context.plain_weights(layer));
        let get = |which, channel: usize| match channel < layer.spec.out_channels {
            // SAFETY: all threads have written the coefficients before the barrier.
            true => unsafe { context.coefficient(layer, which).add(channel).read() },
            false => 0.0,
        };
        let weight = |channel: usize, tap: usize| match channel < layer.spec.out_channels {
            true => weights[channel * taps + tap] * get(Coefficient::Slope, channel),
            false => 0.0,
        };
        let offset = |channel| get(Coefficient::Offset, channel);
        let (lanes, to) = (context.vectors.lanes, context.pointer(self.of_gradient));
        for vector in part(layer.vectors, thread, context.threads) {
            // SAFETY: the vector is this thread's, and the arena has room for all packed weights.
            unsafe { self.bands.pack(lanes, vector, weight, offset, to) }
        }
    }

    fn share(&self, context: &PassContext<'_>, thread: usize) -> impl Iterator<Item = Band> {
        part(self.bands.count(), thread, context.threads).map(|index| self.bands.band(index))
    }

    /// Computes the thread's bands of `z`, and their statistics.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: &PlannedLayer,
        thread: usize,
    ) {
        let scratch = self.bands.scratch(context.scratch(thread));
        let partial = Partial::cleared(context, layer.width, thread);
        let input = LayerActivation {
            context,
            layer: before,
        };
        let mut seen = 0;
        for band in self.share(context, thread) {
            let pixels = self.bands.output_pixels(&band);
            let output = context.pointer(layer.output(pixels.start));
            // Of `z` only the statistics are used.
            let z = match self.branches {
                1 => output,
                _ => context
                    .scratch(thread)
                    .wrapping_add(self.bands.scratch_len()),
            };
            // SAFETY: scratch is this thread's, and so are the band's pixels of the map.
            unsafe {
                self.bands.load_input(simd, &band, &input, scratch);
                for (branch, output) in [output, z].into_iter().enumerate().take(self.branches) {
                    self.bands.forward(
                        simd,
                        &band,
                        scratch,
                        context.pointer(self.weights(branch)),
                        UNBOUNDED,
                        output,
                        layer.pixel,
                    );
                }
            }
            partial.add(simd, context, layer, &pixels, z, &mut seen);
        }
    }

    /// Computes the thread's part of the gradients of input and weights.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: &PlannedLayer,
        needs_input: bool,
        thread: usize,
    ) {
        let scratch = self.bands.scratch(context.scratch(thread));
        let partial = Partial::cleared(context, before.width, thread);
        let sums = context.weight_sums(thread);
        // SAFETY: the sums are this thread's.
        unsafe { sums.write_bytes(0, self.weight_sums()) }
        let input = LayerActivation {
            context,
            layer: before,
        };
        let gradient = MapGradient {
            context,
            layer,
            branch: Branch::Y,
        };
        for band in self.share(context, thread) {
            let band = match self.branches {
                1 => band,
                _ => band.widened(),
            };
            let pixels = self.bands.input_pixels(&band);
            let output = context
                .gradient_before(layer)
                .wrapping_add(pixels.start * before.width);
            // SAFETY: scratch and sums are this thread's, and so are the band's pixels of the
            // gradient.
            unsafe {
                self.bands.load_input(simd, &band, &input, scratch);
                for branch in 0..self.branches {
                    let sums = sums.wrapping_add(branch * self.bands.sums_len());
                    if branch == 0 {
                        self.bands.load_gradient(simd, &band, &gradient, scratch);
                    } else {
                        let weights = context.pointer(self.of_gradient);
                        self.bands.compute_gradient(simd, &band, scratch, weights);
                    }
                    self.bands.weight_gradient(simd, &band, scratch, sums);
                    if !needs_input {
                        continue;
                    }
                    // The first branch writes the gradient, the second adds to it.
                    let summand = context.scratch(thread);
                    let summand = summand.wrapping_add(self.bands.scratch_len());
                    let to = if branch == 0 { output } else { summand };
                    let weights = context.pointer(self.weights(branch));
                    self.bands
                        .input_gradient(simd, &band, scratch, weights, to, before.width);
                    if branch > 0 {
                        let sum = AddScaled {
                            input: summand,
                            factor: 1.0,
                            output,
                            len: pixels.len() * before.width,
                        };
                        add_scaled(simd, &sum);
                    }
                }
                if needs_input {
                    gate_gradient(simd, context, before, pixels, &partial);
                }
            }
        }
    }

    /// Adds the sums of all threads, and writes the thread's share of the gradient of the weights.
    pub(super) fn finish(&self, context: &PassContext<'_>, layer: &PlannedLayer, thread: usize) {
        let (lanes, taps) = (context.vectors.lanes, self.bands.taps());
        let sum = |branch: usize, channel: usize, tap: usize| {
            let offset = branch * self.bands.sums_len()
                + (channel / lanes * taps + tap) * lanes
                + channel % lanes;
            // SAFETY: all threads have written their sums before the barrier.
            let of = |copy| unsafe { context.weight_sums(copy).add(offset).read() };
            (0..context.threads).map(of).sum::<f32>()
        };
        let rounded = layer.rounded.as_ref();
        let rounded = rounded.map(|planned| RoundedWeights { context, planned });
        let rounded = rounded.map(|weights| (weights, weights.grids()));
        for channel in part(layer.spec.out_channels, thread, context.threads) {
            for tap in 0..taps {
                let offset = layer.spec.weights + channel * taps + tap;
                // SAFETY: the channel's gradient is this thread's.
                unsafe {
                    context
                        .parameter_gradient(offset)
                        .write(sum(0, channel, tap));
                }
            }
            if let Some((rounded, grids)) = &rounded {
                let plain = |tap| match self.branches {
                    1 => 0.0,
                    _ => sum(1, channel, tap),
                };
                let plain: Vec<f32> = (0..taps).map(plain).collect();
                rounded.write_gradient(&grids.get(channel), channel, &plain);
            }
        }
    }
}
