//! All layers of a training program, and an arena offset for everything that they keep.

use std::ops::Range;

use super::context::PassContext;
use super::depthwise::DepthwiseLayer;
use super::head::PlannedHead;
use super::matrix::MatrixLayer;
use super::network::{TrainingNetwork, TrainingOptions};
use super::offsets::{Offsets, PerThread, SharedBuffers, Vectors};
use super::planned_covariance::PlannedCovariance;
use super::planned_layer::{COEFFICIENTS, PlannedLayer};
use super::planned_weights::PlannedWeights;
use super::ranges::{GRID, PlannedRange};
use super::rounded_weights::RoundedWeights;
use crate::error::KernelError;
use crate::network::ConvKind;
use crate::simd::Simd;

/// The convolution of a layer.
#[derive(Debug)]
pub(super) enum Convolution {
    Matrix(MatrixLayer),
    Depthwise(DepthwiseLayer),
}

/// The layers of a program, and the arena offsets of everything that they share.
#[derive(Debug)]
pub(super) struct PlannedNetwork {
    pub(super) image: [usize; 3],
    pub(super) layers: Vec<PlannedLayer>,
    /// One for each layer.
    convolutions: Vec<Convolution>,
    pub(super) head: PlannedHead,
    /// Index of the first layer that has gradients.
    pub(super) first_trained: usize,
    /// Ranges of the parameters whose gradients a backward pass writes, in order.
    written: Vec<Range<usize>>,
    pub(super) shared: SharedBuffers,
    /// Offset of the moved ranges: two averages for each layer and for the logits.
    pub(super) ranges: usize,
    /// Values of the arena.
    pub(super) arena: usize,
}

impl PlannedNetwork {
    pub(super) fn new(
        network: &TrainingNetwork,
        options: &TrainingOptions,
        vectors: Vectors,
    ) -> Result<Self, KernelError> {
        network.check(options)?;
        for (what, value) in [("threads", options.threads), ("batch", options.batch)] {
            if value == 0 {
                return Err(KernelError::Zero { what });
            }
        }
        let threads = options.threads;
        let mut offsets = Offsets::default();
        let ranges = offsets.take(2 * (network.layers.len() + 1));
        let (mut layers, mut convolutions) = (Vec::new(), Vec::new());
        let [mut height, mut width, _] = network.image;
        let first_trained = options.frozen_layers.min(network.layers.len());
        let (mut scratch, mut largest_map, mut largest_width) = (0, 0, 0);
        let (mut weight_sums, mut packed) = (0, 0);
        let (mut covariances, mut input_means) = (0, 0);
        for (index, &layer) in network.layers.iter().enumerate() {
            let size = layer.geometry.resolve(options.batch, height, width)?;
            (height, width) = (size.rows.output, size.columns.output);
            let fixed_statistics =
                options.frozen_batch_norm || options.integers().is_some() || index < first_trained;
            let rounding = options.rounding();
            let pixels = size.output_rows() * size.columns.output;
            let needs_plain = rounding.is_some() && !fixed_statistics;
            let may = index == 0 || layer.geometry.is_pointwise();
            let needs_input = index > first_trained;
            let covariance = match needs_plain && may && layer.kind == ConvKind::Conv {
                true => PlannedCovariance::new(
                    &layer,
                    pixels,
                    needs_input,
                    threads,
                    vectors,
                    &mut offsets,
                ),
                false => None,
            };
            let branches = match needs_plain && covariance.is_none() {
                true => 2,
                false => 1,
            };
            if let Some(covariance) = &covariance {
                scratch = scratch.max(covariance.scratch());
                weight_sums = weight_sums.max(covariance.sums(threads));
                covariances = covariances.max(covariance.len());
                input_means = input_means.max(covariance.input_means());
            }
            convolutions.push(match layer.kind {
                ConvKind::Conv => {
                    let before = layers.last();
                    let matrix = MatrixLayer::new(
                        &layer,
                        before,
                        branches,
                        covariance.as_ref(),
                        &size,
                        vectors,
                        options,
                        &mut offsets,
                    );
                    scratch = scratch.max(matrix.scratch());
                    packed = packed.max(matrix.packed());
                    let of_thread = match matrix.splits_panels {
                        true => matrix.weight_sums().div_ceil(threads),
                        false => matrix.weight_sums(),
                    };
                    weight_sums = weight_sums.max(of_thread);
                    Convolution::Matrix(matrix)
                }
                ConvKind::Depthwise => {
                    let depthwise = DepthwiseLayer::new(
                        &layer,
                        branches,
                        &size,
                        vectors,
                        options,
                        &mut offsets,
                    );
                    scratch = scratch.max(depthwise.scratch());
                    weight_sums = weight_sums.max(depthwise.weight_sums());
                    Convolution::Depthwise(depthwise)
                }
            });
            let map_width = vectors.width(layer.out_channels);
            // A depthwise layer doesn't keep `z`.
            let kept = match layer.kind {
                ConvKind::Conv => branches,
                ConvKind::Depthwise => 1,
            };
            let length = crate::error::volume("map", &[pixels, kept, map_width])?;
            largest_map = largest_map.max(pixels * map_width);
            largest_width = largest_width.max(map_width);
            layers.push(PlannedLayer {
                index,
                spec: layer,
                size,
                pixels,
                vectors: vectors.count(layer.out_channels),
                width: map_width,
                covariance,
                map: offsets.take(length),
                pixel: kept * map_width,
                coefficients: offsets.take(COEFFICIENTS * map_width),
                rounded: rounding
                    .map(|scheme| PlannedWeights::of_layer(scheme, &layer, &mut offsets)),
                range: options.quantization.map(|_| PlannedRange {
                    biased: ranges + 2 * index,
                    grid: offsets.take(GRID),
                }),
                fixed_statistics,
            });
        }
        let channels = network.layers.last().map_or(0, |layer| layer.out_channels);
        let window = network.pooling.window(height, width);
        let (head, batch) = (network.head, options.batch);
        let rounded = options.rounding().map(|scheme| {
            let shape = [head.classes, channels];
            PlannedWeights::new(scheme, head.weights, shape, &mut offsets)
        });
        let head = PlannedHead::new(
            head,
            rounded,
            channels,
            window,
            vectors,
            batch,
            &mut offsets,
        );
        scratch = scratch.max(head.scratch(vectors.lanes));
        let needs_gradients = first_trained < layers.len();
        let gradient = if needs_gradients { largest_map } else { 0 };
        let rows = if options.quantization.is_some() { 4 } else { 2 };
        let partial = vectors.lanes + rows * largest_width;
        let shared = SharedBuffers {
            zeros: offsets.take(largest_width),
            gradients: [offsets.take(gradient), offsets.take(gradient)],
            partials: PerThread::take(&mut offsets, threads, partial),
            weight_sums: PerThread::take(&mut offsets, threads, weight_sums),
            scratch: PerThread::take(&mut offsets, threads, scratch),
            packed: offsets.take(packed.max(head.packed())),
            input_means: PerThread::take(&mut offsets, threads, input_means),
            covariance: offsets.take(covariances),
            input_bias: offsets.take(input_means / 2),
        };
        let trained = network.layers.iter().skip(first_trained);
        let of_layers = trained.map(|layer| (layer.weights, layer.out_channels * layer.depth()));
        let of_head = (network.head.weights, network.head.classes * channels);
        let mut written: Vec<_> = of_layers
            .chain([of_head])
            .map(|(start, count)| start..start + count)
            .collect();
        written.sort_by_key(|range| range.start);
        Ok(Self {
            image: network.image,
            layers,
            convolutions,
            head,
            first_trained,
            written,
            shared,
            ranges,
            arena: offsets.end(),
        })
    }

    /// Clears the gradients that a backward pass does not write or adds to. Those of trained weights,
    /// nearly all, are written.
    pub(super) fn clear_gradients(&self, gradients: &mut [f32]) {
        let mut end = 0;
        for written in &self.written {
            gradients[end..written.start.max(end)].fill(0.0);
            end = written.end.max(end);
        }
        gradients[end..].fill(0.0);
    }

    /// Finds the ranges of the weights of layer `index`, or after the last layer, of the head, if they are
    /// to be rounded: of the thread's share.
    #[inline(always)]
    pub(super) fn measure(&self, context: &PassContext<'_>, index: usize, thread: usize) {
        let rounded = match self.layers.get(index) {
            Some(layer) => &layer.rounded,
            None => &self.head.rounded,
        };
        if let Some(planned) = rounded {
            RoundedWeights { context, planned }.measure(thread);
        }
    }

    /// Packs the thread's share of what the same multiplies by. It is used next, so that it is still in
    /// cache then.
    #[inline(always)]
    pub(super) fn pack<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        index: usize,
        thread: usize,
    ) {
        let Some(layer) = self.layers.get(index) else {
            self.head.pack(simd, context, self.layers.last(), thread);
            return;
        };
        match &self.convolutions[index] {
            Convolution::Matrix(matrix) => matrix.pack(simd, context, layer, thread),
            Convolution::Depthwise(depthwise) => depthwise.pack(simd, context, layer, thread),
        }
    }

    /// The same for what the layer's gradient is multiplied by.
    #[inline(always)]
    pub(super) fn pack_transposed<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        if let (Convolution::Matrix(matrix), true) =
            (&self.convolutions[layer.index], self.needs_input(layer))
        {
            matrix.pack_transposed(simd, context, layer, thread);
        }
    }

    /// Computes the thread's share of a layer's `z`, the output before normalisation.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        let before = layer.index.checked_sub(1).map(|index| &self.layers[index]);
        match (&self.convolutions[layer.index], before) {
            (Convolution::Matrix(matrix), before) => {
                matrix.forward(simd, context, layer, before, thread)
            }
            (Convolution::Depthwise(depthwise), Some(before)) => {
                depthwise.forward(simd, context, layer, before, thread);
            }
            // `TrainingNetwork::check` refuses a depthwise first layer.
            (Convolution::Depthwise(_), None) => {}
        }
    }

    /// Whether a layer's backward pass needs weights that follow from its coefficients.
    pub(super) fn packs_gradient(&self, layer: &PlannedLayer) -> bool {
        match &self.convolutions[layer.index] {
            Convolution::Matrix(_) => layer.covariance.is_some() && self.needs_input(layer),
            Convolution::Depthwise(depthwise) => depthwise.packs_gradient(),
        }
    }

    /// Packs the thread's share of them.
    #[inline(always)]
    pub(super) fn pack_gradient<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        match &self.convolutions[layer.index] {
            Convolution::Matrix(matrix) => matrix.pack_gradient(simd, context, layer, thread),
            Convolution::Depthwise(depthwise) => depthwise.pack_gradient(context, layer, thread),
        }
    }

    /// Whether a layer computes the gradient of its input.
    fn needs_input(&self, layer: &PlannedLayer) -> bool {
        layer.index > self.first_trained
    }

    /// Computes the thread's share of a layer's gradients. Those of the weights are not added up
    /// over the threads yet.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        let before = layer.index.checked_sub(1).map(|index| &self.layers[index]);
        let needs_input = self.needs_input(layer);
        match (&self.convolutions[layer.index], before) {
            (Convolution::Matrix(matrix), before) => {
                matrix.backward(simd, context, layer, before, needs_input, thread);
            }
            (Convolution::Depthwise(depthwise), Some(before)) => {
                depthwise.backward(simd, context, layer, before, needs_input, thread);
            }
            (Convolution::Depthwise(_), None) => {}
        }
    }

    /// Adds up the weight gradients of all threads, for the thread's share of the weights.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        match &self.convolutions[layer.index] {
            Convolution::Matrix(matrix) => matrix.finish(simd, context, layer, thread),
            Convolution::Depthwise(depthwise) => depthwise.finish(context, layer, thread),
        }
    }
}
