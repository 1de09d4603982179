//! Depthwise convolution in training. Each thread computes its bands, forward and backward. `z` is
//! the layer's output before normalisation.

use super::context::PassContext;
use super::network::{TrainingLayer, TrainingOptions};
use super::offsets::{Offsets, Vectors};
use super::planned_layer::PlannedLayer;
use super::source::{LayerActivation, MapGradient, gate_gradient};
use super::statistics::Partial;
use crate::geometry::ConvSize;
use crate::layer::depthwise::{Band, Bands};
use crate::layer::matrix::UNBOUNDED;
use crate::partition::part;
use crate::simd::Simd;

/// A depthwise convolution.
#[derive(Debug)]
pub(super) struct DepthwiseLayer {
    bands: Bands,
    /// Offset of the packed weights.
    weights: usize,
}

impl DepthwiseLayer {
    pub(super) fn new(
        layer: &TrainingLayer,
        size: &ConvSize,
        vectors: Vectors,
        options: &TrainingOptions,
        offsets: &mut Offsets,
    ) -> Self {
        let least = options.threads.div_ceil(size.batch);
        let bands = Bands::new(size, vectors.width(layer.out_channels), least);
        Self {
            weights: offsets.take(bands.weights_len()),
            bands,
        }
    }

    /// Values in the sums of the weight gradient.
    pub(super) fn weight_sums(&self) -> usize {
        self.bands.sums_len()
    }

    /// Values of scratch per thread.
    pub(super) fn scratch(&self) -> usize {
        self.bands.scratch_len()
    }

    /// Packs the thread's share of the weights.
    pub(super) fn pack(&self, context: &PassContext<'_>, layer: &PlannedLayer, thread: usize) {
        let taps = self.bands.taps();
        let weight = |channel: usize, tap: usize| {
            if channel < layer.spec.out_channels {
                context.parameters[layer.spec.weights + channel * taps + tap]
            } else {
                0.0
            }
        };
        let (lanes, to) = (context.vectors.lanes, context.pointer(self.weights));
        for vector in part(layer.vectors, thread, context.threads) {
            // SAFETY: the vector is this thread's, and the arena has room for all packed weights.
            unsafe {
                self.bands.pack(lanes, vector, weight, |_| 0.0, to);
                self.bands.pack_phases(lanes, vector, weight, to);
            }
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
            let output = context.pointer(layer.map + pixels.start * layer.width);
            let weights = context.pointer(self.weights);
            // SAFETY: scratch is this thread's, and so are the band's pixels of the map.
            unsafe {
                self.bands.load_input(simd, &band, &input, scratch);
                self.bands.forward(
                    simd,
                    &band,
                    scratch,
                    weights,
                    UNBOUNDED,
                    output,
                    layer.width,
                );
            }
            partial.add(simd, context, layer, &pixels, &mut seen);
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
        let (input, gradient) = (
            LayerActivation {
                context,
                layer: before,
            },
            MapGradient { context, layer },
        );
        for band in self.share(context, thread) {
            // SAFETY: scratch and sums are this thread's, and so are the band's pixels of the
            // gradient.
            unsafe {
                self.bands.load_input(simd, &band, &input, scratch);
                self.bands.load_gradient(simd, &band, &gradient, scratch);
                self.bands.weight_gradient(simd, &band, scratch, sums);
                if needs_input {
                    let pixels = self.bands.input_pixels(&band);
                    let output = context
                        .gradient_before(layer)
                        .wrapping_add(pixels.start * before.width);
                    let weights = context.pointer(self.weights);
                    self.bands
                        .input_gradient(simd, &band, scratch, weights, output, before.width);
                    gate_gradient(simd, context, before, pixels, &partial);
                }
            }
        }
    }

    /// Adds the sums of all threads, and writes the thread's share of the gradient of the weights.
    pub(super) fn finish(&self, context: &PassContext<'_>, layer: &PlannedLayer, thread: usize) {
        let (lanes, taps) = (context.vectors.lanes, self.bands.taps());
        for channel in part(layer.spec.out_channels, thread, context.threads) {
            for tap in 0..taps {
                let offset = (channel / lanes * taps + tap) * lanes + channel % lanes;
                let mut sum = 0.0;
                for copy in 0..context.threads {
                    // SAFETY: all threads have written their sums before the barrier.
                    sum += unsafe { context.weight_sums(copy).add(offset).read() };
                }
                let offset = layer.spec.weights + channel * taps + tap;
                // SAFETY: the channel's gradient is this thread's.
                unsafe { context.parameter_gradient(offset).write(sum) }
            }
        }
    }
}
