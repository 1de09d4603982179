//! The whole program: its steps, and an offset in the arena for all that they keep.

use super::depthwise::Depthwise;
use super::head::HeadPlan;
use super::matrix::Matrix;
use super::network::{Network, TrainingOptions};
use super::offsets::{Offsets, PerThread, Shared, Vectors};
use super::run::Run;
use super::step::{COEFFICIENTS, Step};
use crate::error::KernelError;
use crate::network::LayerKind;
use crate::simd::Simd;

/// What a step computes.
#[derive(Debug)]
pub(super) enum Operation {
    Matrix(Matrix),
    Depthwise(Depthwise),
}

/// A program.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) image: [usize; 3],
    pub(super) steps: Vec<Step>,
    /// One for each step.
    operations: Vec<Operation>,
    pub(super) head: HeadPlan,
    /// First step that has gradients.
    pub(super) first_trained: usize,
    pub(super) shared: Shared,
    /// Values of the arena.
    pub(super) arena: usize,
}

impl Plan {
    pub(super) fn new(
        network: &Network,
        options: &TrainingOptions,
        vectors: Vectors,
    ) -> Result<Self, KernelError> {
        network.check()?;
        for (what, value) in [("threads", options.threads), ("batch", options.batch)] {
            if value == 0 {
                return Err(KernelError::Zero { what });
            }
        }
        let threads = options.threads;
        let mut offsets = Offsets::default();
        let (mut steps, mut operations) = (Vec::new(), Vec::new());
        let [mut height, mut width, _] = network.image;
        let first_trained = options.frozen_layers.min(network.layers.len());
        let (mut scratch, mut largest_map, mut largest_width) = (0, 0, 0);
        let mut weight_sums = 0;
        for (index, &layer) in network.layers.iter().enumerate() {
            let size = layer.geometry.resolve(options.batch, height, width)?;
            (height, width) = (size.rows.output, size.columns.output);
            operations.push(match layer.kind {
                LayerKind::Conv => {
                    let matrix = Matrix::new(&layer, &size, vectors, options, &mut offsets);
                    scratch = scratch.max(matrix.scratch());
                    let of_thread = match matrix.splits_panels {
                        true => matrix.weight_sums().div_ceil(threads),
                        false => matrix.weight_sums(),
                    };
                    weight_sums = weight_sums.max(of_thread);
                    Operation::Matrix(matrix)
                }
                LayerKind::Depthwise => {
                    let depthwise = Depthwise::new(&layer, &size, vectors, options, &mut offsets);
                    scratch = scratch.max(depthwise.scratch());
                    weight_sums = weight_sums.max(depthwise.weight_sums());
                    Operation::Depthwise(depthwise)
                }
            });
            let pixels = size.output_rows() * size.columns.output;
            let map_width = vectors.width(layer.out_channels);
            let length = crate::error::volume("map", &[pixels, map_width])?;
            largest_map = largest_map.max(length);
            largest_width = largest_width.max(map_width);
            steps.push(Step {
                index,
                layer,
                size,
                pixels,
                vectors: vectors.count(layer.out_channels),
                width: map_width,
                map: offsets.take(length),
                coefficients: offsets.take(COEFFICIENTS * map_width),
                fixed_statistics: options.frozen_batch_norm || index < first_trained,
            });
        }
        let channels = network.layers.last().map_or(0, |layer| layer.out_channels);
        let window = network.pooling.window(height, width);
        let (head, batch) = (network.head, options.batch);
        let head = HeadPlan::new(head, channels, window, vectors, batch, &mut offsets);
        let needs_gradients = first_trained < steps.len();
        let gradient = if needs_gradients { largest_map } else { 0 };
        let partial = vectors.lanes + 2 * largest_width;
        let shared = Shared {
            gradients: [offsets.take(gradient), offsets.take(gradient)],
            partials: PerThread::take(&mut offsets, threads, partial),
            weight_sums: PerThread::take(&mut offsets, threads, weight_sums),
            scratch: PerThread::take(&mut offsets, threads, scratch),
        };
        Ok(Self {
            image: network.image,
            steps,
            operations,
            head,
            first_trained,
            shared,
            arena: offsets.end(),
        })
    }

    /// Packs the thread's share of the weights of all layers.
    pub(super) fn pack(&self, run: &Run<'_>, thread: usize) {
        for (step, operation) in self.steps.iter().zip(&self.operations) {
            match operation {
                Operation::Matrix(matrix) => {
                    matrix.pack(run, step, step.index > self.first_trained, thread);
                }
                Operation::Depthwise(depthwise) => depthwise.pack(run, step, thread),
            }
        }
        self.head.pack(run, thread);
    }

    /// The thread's share of a step's `z`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(&self, simd: S, run: &Run<'_>, step: &Step, thread: usize) {
        let before = step.index.checked_sub(1).map(|index| &self.steps[index]);
        match (&self.operations[step.index], before) {
            (Operation::Matrix(matrix), before) => matrix.forward(simd, run, step, before, thread),
            (Operation::Depthwise(depthwise), Some(before)) => {
                depthwise.forward(simd, run, step, before, thread);
            }
            // `Network::check` refuses it as the first layer.
            (Operation::Depthwise(_), None) => {}
        }
    }

    /// The thread's share of a step's gradients; weights' are not yet those of all threads.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(&self, simd: S, run: &Run<'_>, step: &Step, thread: usize) {
        let before = step.index.checked_sub(1).map(|index| &self.steps[index]);
        let needs_input = step.index > self.first_trained;
        match (&self.operations[step.index], before) {
            (Operation::Matrix(matrix), before) => {
                matrix.backward(simd, run, step, before, needs_input, thread);
            }
            (Operation::Depthwise(depthwise), Some(before)) => {
                depthwise.backward(simd, run, step, before, needs_input, thread);
            }
            (Operation::Depthwise(_), None) => {}
        }
    }

    /// The thread's share of a step's weight gradient, from the sums of all threads.
    pub(super) fn finish(&self, run: &Run<'_>, step: &Step, thread: usize) {
        match &self.operations[step.index] {
            Operation::Matrix(matrix) => matrix.finish(run, step, thread),
            Operation::Depthwise(depthwise) => depthwise.finish(run, step, thread),
        }
    }
}
