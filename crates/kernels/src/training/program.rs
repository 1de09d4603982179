//! The training program: its arena, its team, and the loops over layers.

use std::ops::Range;

use super::activation_range;
use super::batch::Batch;
use super::context::{GradientPointer, PassContext};
use super::covariance::Covariance;
use super::network::{MapGradient, TrainingNetwork, TrainingOptions};
use super::offsets::Vectors;
use super::planned_layer::{Coefficient, PlannedLayer};
use super::planned_network::PlannedNetwork;
use super::ranges::MovingRanges;
use super::statistics;
use crate::error::{KernelError, check_length};
use crate::fake_quantization::{Grid, Levels};
use crate::simd::team::{Barrier, Team};
use crate::simd::{Isa, Kernel, SharedBuffer, Simd, dispatch};

/// A network for one batch size, ready to train. It holds activations and statistics. Parameters
/// and gradients are the caller's flat vectors.
#[derive(Debug)]
pub struct TrainingProgram {
    plan: PlannedNetwork,
    options: TrainingOptions,
    isa: Isa,
    epsilon: f64,
    parameters: usize,
    arena: SharedBuffer,
    team: Team,
    barrier: Barrier,
    /// To which the logits of the last batch were rounded.
    logit_grid: Option<Grid>,
}

struct Forward<'a>(&'a PlannedNetwork, &'a PassContext<'a>, usize);

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(plan, context, thread) = self;
        plan.measure(context, 0, thread);
        context.wait();
        plan.pack(simd, context, 0, thread);
        context.wait();
        for layer in &plan.layers {
            plan.forward(simd, context, layer, thread);
            context.wait();
            plan.measure(context, layer.index + 1, thread);
            if let Some(covariance) = Covariance::of(context, layer) {
                covariance.finish(simd, thread);
            }
            let before = layer.index.checked_sub(1).map(|index| &plan.layers[index]);
            statistics::finish(context, layer, before, thread);
            context.wait();
            plan.pack(simd, context, layer.index + 1, thread);
            if layer.range.is_some() && thread == 0 {
                activation_range::finish(context, layer);
            }
            context.wait();
        }
        if let Some(last) = plan.layers.last() {
            plan.head.forward(simd, context, last, thread);
        }
    }
}

/// The backward passes of some layers, after that of the head or without it.
struct Backward<'a> {
    plan: &'a PlannedNetwork,
    context: &'a PassContext<'a>,
    head: bool,
    layers: Range<usize>,
    thread: usize,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            plan,
            context,
            head,
            layers,
            thread,
        } = self;
        if let Some(last) = plan.layers.last().filter(|_| head) {
            let needs_input = plan.first_trained < plan.layers.len();
            plan.head.backward(simd, context, last, needs_input, thread);
        }
        for layer in plan.layers[layers].iter().rev() {
            statistics::finish_gradient(context, layer, thread);
            plan.pack_transposed(simd, context, layer, thread);
            context.wait();
            if plan.packs_gradient(layer) {
                plan.pack_gradient(simd, context, layer, thread);
                context.wait();
            }
            plan.backward(simd, context, layer, thread);
            context.wait();
            plan.finish(simd, context, layer, thread);
            context.wait();
        }
    }
}

impl TrainingProgram {
    /// Plans the layers, allocates the arena, starts the threads.
    ///
    /// # Errors
    /// If offsets or channels of the network do not match, a window does not fit the image, or a
    /// thread cannot be started.
    pub fn new(
        isa: Isa,
        network: &TrainingNetwork,
        options: &TrainingOptions,
    ) -> Result<Self, KernelError> {
        let plan = PlannedNetwork::new(network, options, Vectors::of(isa))?;
        let team = Team::new(options.threads).map_err(|error| KernelError::Threads {
            problem: error.to_string(),
        })?;
        Ok(Self {
            arena: SharedBuffer::zeros(plan.arena),
            barrier: Barrier::new(options.threads),
            plan,
            options: *options,
            isa,
            epsilon: network.epsilon,
            parameters: network.parameters,
            team,
            logit_grid: None,
        })
    }

    /// Values of a batch of images, `[batch, height, width, channels]`.
    pub fn images_len(&self) -> usize {
        self.options.batch * self.plan.image.iter().product::<usize>()
    }

    /// Values of a batch of logits, `[batch, classes]`.
    pub fn logits_len(&self) -> usize {
        self.options.batch * self.plan.head.head.classes
    }

    /// Values of a batch of pooled features, `[batch, channels]`, and of dropout's factors.
    pub fn features_len(&self) -> usize {
        self.options.batch * self.plan.head.channels
    }

    /// Values of the activations' ranges: two for each layer and for the logits, with fake
    /// quantisation; otherwise none.
    pub fn ranges_len(&self) -> usize {
        match self.options.quantization {
            Some(_) => 2 * (self.plan.layers.len() + 1),
            None => 0,
        }
    }

    /// The averages of [`MovingRanges`] after the last batch.
    pub fn ranges(&self) -> &[f32] {
        self.arena.read(self.plan.ranges, self.ranges_len())
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        4 * self.arena.len()
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Computes the logits of a batch. The arena then holds what the gradients need.
    pub(super) fn compute(
        &mut self,
        batch: &Batch<'_>,
        logits: &mut [f32],
    ) -> Result<(), KernelError> {
        check_length("logits", logits.len(), &[self.logits_len()])?;
        check_length("parameters", batch.parameters.len(), &[self.parameters])?;
        check_length("images", batch.images.len(), &[self.images_len()])?;
        let ranges = batch.ranges.map_or(0, |ranges| ranges.biased.len());
        check_length("ranges of activations", ranges, &[self.ranges_len()])?;
        if let Some(dropout) = batch.dropout {
            check_length("dropout", dropout.len(), &[self.features_len()])?;
        }
        self.run(batch, &[], &mut [], |plan, context, thread| {
            dispatch(context.isa, Forward(plan, context, thread));
        });
        let head = &self.plan.head;
        for (image, logits) in logits
            .chunks_exact_mut(head.head.classes.max(1))
            .enumerate()
        {
            let found = head.logits + image * head.class_width;
            logits.copy_from_slice(self.arena.read(found, logits.len()));
        }
        if let Some(ranges) = batch.ranges {
            self.round_logits(&ranges, logits);
        }
        Ok(())
    }

    /// Moves the range of the logits, unless ranges are kept, and rounds them.
    fn round_logits(&mut self, ranges: &MovingRanges<'_>, logits: &mut [f32]) {
        let extremes = logits
            .iter()
            .fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &logit| {
                [low.min(logit), high.max(logit)]
            });
        let index = self.plan.layers.len();
        let (biased, [min, max]) = match self.options.integers() {
            Some(_) => ranges.kept(index),
            None => ranges.moved(index, extremes),
        };
        let moved = self.arena.write(self.plan.ranges + 2 * index, 2);
        moved.copy_from_slice(&biased);
        let grid = Grid::new(min, max, Levels::Wide);
        self.logit_grid = self.plan.head.rounded.map(|_| grid);
        if let Some(grid) = &self.logit_grid {
            for logit in logits {
                *logit = grid.round(*logit);
            }
        }
    }

    /// Computes the gradient of every parameter, for the batch of the last forward pass.
    pub(super) fn backward(
        &mut self,
        batch: &Batch<'_>,
        logit_gradients: &[f32],
        maps: &[MapGradient<'_>],
        gradients: &mut [f32],
    ) {
        self.begin_backward(logit_gradients, gradients);
        let trained = self.plan.first_trained..self.plan.layers.len();
        self.backward_of(batch, maps, gradients, true, trained);
    }

    /// The same, layer by layer. After each, `finished` gets the gradients and the number of the
    /// first layer from which on they are final; 0 at the end.
    pub(super) fn backward_by_layers(
        &mut self,
        batch: &Batch<'_>,
        logit_gradients: &[f32],
        gradients: &mut [f32],
        finished: &mut dyn FnMut(&mut [f32], usize),
    ) {
        self.begin_backward(logit_gradients, gradients);
        let (first, count) = (self.plan.first_trained, self.plan.layers.len());
        // Layers before the first that is trained have gradient 0 from the start.
        let mut tell = |gradients: &mut [f32], layer: usize| match layer == first {
            true => finished(gradients, 0),
            false => finished(gradients, layer),
        };
        self.backward_of(batch, &[], gradients, true, count..count);
        tell(gradients, count);
        for layer in (first..count).rev() {
            self.backward_of(batch, &[], gradients, false, layer..layer + 1);
            tell(gradients, layer);
        }
    }

    fn backward_of(
        &mut self,
        batch: &Batch<'_>,
        maps: &[MapGradient<'_>],
        gradients: &mut [f32],
        head: bool,
        layers: Range<usize>,
    ) {
        self.run(batch, maps, gradients, |plan, context, thread| {
            let layers = layers.clone();
            let backward = Backward {
                plan,
                context,
                head,
                layers,
                thread,
            };
            dispatch(context.isa, backward);
        });
    }

    /// Clears gradients, and takes those of the logits.
    fn begin_backward(&mut self, logit_gradients: &[f32], gradients: &mut [f32]) {
        self.plan.clear_gradients(gradients);
        let head = &self.plan.head;
        for (image, values) in logit_gradients
            .chunks_exact(head.head.classes.max(1))
            .enumerate()
        {
            let offset = head.logits + image * head.class_width;
            let row = self.arena.write(offset, head.class_width);
            // The row holds the logits before they were rounded.
            for (logit, &gradient) in row.iter_mut().zip(values) {
                let passes = self.logit_grid.is_none_or(|grid| grid.passes(*logit));
                *logit = if passes { gradient } else { 0.0 };
            }
            row[values.len()..].fill(0.0);
        }
    }

    /// Images, rows, columns and channels of a layer's map.
    pub(super) fn map_shape(&self, layer: usize) -> Result<[usize; 4], KernelError> {
        let layer = self.layer(layer)?;
        let (rows, columns) = (layer.size.rows.output, layer.size.columns.output);
        Ok([self.options.batch, rows, columns, layer.spec.out_channels])
    }

    fn layer(&self, index: usize) -> Result<&PlannedLayer, KernelError> {
        let layers = &self.plan.layers;
        layers.get(index).ok_or(KernelError::Length {
            what: "layers up to the one that is read",
            expected: index.saturating_add(1),
            found: layers.len(),
        })
    }

    /// The activation of a layer for the last batch.
    pub(super) fn activation(&self, index: usize) -> Result<([usize; 3], Vec<f32>), KernelError> {
        let layer = self.layer(index)?;
        if layer.rounded.is_some() {
            return Err(KernelError::Unsupported {
                what: "reading a map of rounded activations",
            });
        }
        let [_, rows, columns, channels] = self.map_shape(index)?;
        let of = |which| self.arena.read(layer.coefficient(which), channels);
        let (scale, shift) = (of(Coefficient::Scale), of(Coefficient::Shift));
        let (low, high) = layer.spec.activation.bounds();
        let mut values = Vec::with_capacity(layer.pixels * channels);
        for pixel in 0..layer.pixels {
            let row = self.arena.read(layer.output(pixel), channels).iter();
            let row = row.zip(scale.iter().zip(shift));
            values.extend(
                row.map(|(z, (scale, shift))| z.mul_add(*scale, *shift).max(low).min(high)),
            );
        }
        Ok(([rows, columns, channels], values))
    }

    /// Pooled features of the last batch before dropout, image by image.
    pub(super) fn features(&self) -> impl Iterator<Item = &[f32]> {
        let head = &self.plan.head;
        (0..self.options.batch).map(|image| {
            let offset = head.features + image * head.width;
            self.arena.read(offset, head.channels)
        })
    }

    /// Moves the running statistics towards those of the last batch: `running = running * decay +
    /// batch * (1 - decay)`. The batch's variance is the unbiased estimate, as in TensorFlow's
    /// fused batch norm. Layers with fixed statistics stay as they are.
    ///
    /// # Errors
    /// If `parameters` has the wrong length.
    pub fn update_running_statistics(
        &self,
        parameters: &mut [f32],
        decay: f64,
    ) -> Result<(), KernelError> {
        check_length("parameters", parameters.len(), &[self.parameters])?;
        for layer in self
            .plan
            .layers
            .iter()
            .filter(|layer| !layer.fixed_statistics)
        {
            let channels = layer.spec.out_channels;
            let count = layer.pixels as f64;
            for (which, offset, correction) in [
                (Coefficient::Mean, layer.spec.running_mean, 1.0),
                (
                    Coefficient::Variance,
                    layer.spec.running_variance,
                    count / (count - 1.0).max(1.0),
                ),
            ] {
                let batch = self.arena.read(layer.coefficient(which), channels);
                for (running, batch) in parameters[offset..].iter_mut().zip(batch) {
                    let target = f64::from(*batch) * correction;
                    *running = (f64::from(*running) * decay + target * (1.0 - decay)) as f32;
                }
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        batch: &Batch<'_>,
        entering: &[MapGradient<'_>],
        gradients: &mut [f32],
        job: impl Fn(&PlannedNetwork, &PassContext<'_>, usize) + Sync,
    ) {
        let context = PassContext {
            isa: self.isa,
            vectors: Vectors::of(self.isa),
            shared: &self.plan.shared,
            batch: self.options.batch,
            threads: self.options.threads,
            epsilon: self.epsilon,
            parameters: batch.parameters,
            ranges: batch.ranges,
            integers: self.options.integers(),
            images: batch.images,
            dropout: batch.dropout,
            arena: &self.arena,
            barrier: &self.barrier,
            gradients: GradientPointer(gradients.as_mut_ptr()),
            entering,
        };
        self.team.run(&|thread| job(&self.plan, &context, thread));
    }
}
