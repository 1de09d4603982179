//! Training without candle: a program for one batch size, which computes logits and gradients. All
//! parameters are in one flat vector.
//!
//! ```text
//! config + TrainingPlanOptions -> TrainingPlan
//! forward(parameters, images) -> logits, TrainingPass;  backward(d loss / d logits) -> gradients
//! ```
//!
//! With fake quantisation, `forward_quantized` also takes the ranges of the activations. A network
//! without a classifier has its pooled features in place of the logits.

use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::training::{
    FakeQuantization, MapGradient, MovingRanges, Pass, TrainingHead, TrainingLayer,
    TrainingNetwork, TrainingOptions, TrainingProgram,
};
use mobilenet_kernels::{ConvKind, KernelError, Normalizer};

use crate::architecture::{LayerName, Part, body_layers};
use crate::config::MobileNetV1Config;
use crate::endpoint::LayerKind;
use crate::error::ModelError;
use crate::flat::FlatLayout;
use crate::pooled_output::PooledOutput;
use crate::pooling::pooling;

/// Options of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingPlanOptions {
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Images in a batch.
    pub batch: usize,
    /// Number of threads, including the caller's.
    pub threads: usize,
    /// Number of first layers of the body that are frozen: they get no gradient and use their
    /// running statistics.
    pub frozen_layers: usize,
    /// Whether every batch normalisation uses its running statistics.
    pub frozen_batch_norm: bool,
    /// Fake quantisation.
    pub quantization: Option<FakeQuantization>,
}

impl TrainingPlanOptions {
    /// Options by which all layers are trained.
    pub fn new(size: [usize; 2], batch: usize, threads: usize) -> Self {
        Self {
            size,
            batch,
            threads,
            frozen_layers: 0,
            frozen_batch_norm: false,
            quantization: None,
        }
    }
}

/// A network in training, for one batch size. Results are bit-identical for the same number of
/// threads.
#[derive(Debug)]
pub struct TrainingPlan {
    program: TrainingProgram,
    layout: FlatLayout,
    /// Where the parameters of each layer begin in the flat vector, at last those of the classifier.
    starts: Vec<usize>,
    decay: f64,
    /// Without a classifier.
    pooled: Option<PooledOutput>,
}

impl TrainingPlan {
    /// Plans the computation, allocates memory and starts the threads.
    ///
    /// # Errors
    /// If the network has no batch normalisation, or several filters per channel (train such networks
    /// on candle: [`crate::MobileNetV1`]), or cannot take images of this size; with fake quantisation,
    /// if it has no classifier, or full convolutions after the first layer.
    pub fn new(
        config: &MobileNetV1Config,
        options: &TrainingPlanOptions,
    ) -> Result<Self, ModelError> {
        let isa = Isa::best()?;
        let layout = FlatLayout::new(config)?;
        let Normalizer::BatchNorm(batch_norm) = config.base.arg_scope.normalizer else {
            return Err(ModelError::Setting {
                setting: "normalizer",
                range: "batch normalisation for training",
                found: match config.base.arg_scope.normalizer {
                    Normalizer::Bias => "a bias".to_string(),
                    _ => "none".to_string(),
                },
            });
        };
        let (network, pooled) = network(config, &layout, options.size, batch_norm.epsilon)?;
        if pooled.is_some() && options.quantization.is_some() {
            return Err(ModelError::Setting {
                setting: "num_classes",
                range: "at least 1 for training with fake quantisation",
                found: "0".to_string(),
            });
        }
        let options = TrainingOptions {
            batch: options.batch,
            threads: options.threads,
            frozen_layers: options.frozen_layers,
            frozen_batch_norm: options.frozen_batch_norm,
            quantization: options.quantization,
        };
        let program = TrainingProgram::new(isa, &network, &options);
        let starts = network.layers.iter().map(|layer| layer.weights);
        let starts = starts.chain([network.head.weights]).collect();
        Ok(Self {
            program: program?,
            layout,
            starts,
            decay: batch_norm.decay,
            pooled,
        })
    }

    /// The range of each parameter in the flat vector.
    pub fn layout(&self) -> &FlatLayout {
        &self.layout
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.program.isa()
    }

    /// Bytes of memory for activations, their gradients, and scratch.
    pub fn arena_bytes(&self) -> usize {
        self.program.arena_bytes()
    }

    /// Number of values of a batch of images, `[batch, height, width, channels]`.
    pub fn images_len(&self) -> usize {
        self.program.images_len()
    }

    /// Number of values of a batch of logits, `[batch, classes]`; without a classifier of features.
    pub fn logits_len(&self) -> usize {
        match self.pooled {
            None => self.program.logits_len(),
            Some(_) => self.features_len(),
        }
    }

    /// Number of values of a batch of pooled features, `[batch, channels]`.
    pub fn features_len(&self) -> usize {
        self.program.features_len()
    }

    /// Number of values of the activations' ranges; 0 without fake quantisation.
    pub fn ranges_len(&self) -> usize {
        self.program.ranges_len()
    }

    /// Computes logits with the batch's own statistics. The returned pass computes the gradients.
    ///
    /// # Shapes
    /// `images` `[batch, height, width, channels]`; `dropout` `[batch, channels]`, one factor per
    /// pooled feature; `logits` `[batch, classes]`, or `[batch, channels]` without a classifier. Then
    /// dropout does nothing, as in slim.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn forward<'a>(
        &mut self,
        parameters: &'a [f32],
        images: &'a [f32],
        dropout: Option<&'a [f32]>,
        logits: &mut [f32],
    ) -> Result<TrainingPass<'_, 'a>, ModelError> {
        let (starts, decay, pooled) = (&self.starts, self.decay, self.pooled);
        let pass = match pooled {
            None => self.program.forward(parameters, images, dropout, logits)?,
            Some(_) => {
                check_length("features", logits.len(), self.features_len())?;
                let pass = self.program.forward(parameters, images, dropout, &mut [])?;
                let rows = pass.features().flatten();
                logits.iter_mut().zip(rows).for_each(|(to, one)| *to = *one);
                pass
            }
        };
        Ok(TrainingPass {
            pass,
            starts,
            decay,
            pooled,
        })
    }

    /// The same with fake quantisation. If the ranges move, [`TrainingPass::ranges`] has the new ones.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn forward_quantized<'a>(
        &mut self,
        parameters: &'a [f32],
        ranges: MovingRanges<'a>,
        images: &'a [f32],
        dropout: Option<&'a [f32]>,
        logits: &mut [f32],
    ) -> Result<TrainingPass<'_, 'a>, ModelError> {
        let pass = self
            .program
            .forward_quantized(parameters, ranges, images, dropout, logits)?;
        let (starts, decay) = (&self.starts, self.decay);
        Ok(TrainingPass {
            pass,
            starts,
            decay,
            pooled: None,
        })
    }

    /// Moves the running statistics in `parameters` towards those of the last batch, by the
    /// network's batch-norm decay.
    ///
    /// # Errors
    /// If `parameters` has the wrong length.
    pub fn update_running_statistics(&self, parameters: &mut [f32]) -> Result<(), ModelError> {
        Ok(self
            .program
            .update_running_statistics(parameters, self.decay)?)
    }
}

/// A batch between its forward and its backward pass. It borrows the plan and the inputs, so that
/// they cannot change in between.
#[derive(Debug)]
#[must_use = "a forward pass alone trains nothing"]
pub struct TrainingPass<'p, 'a> {
    pass: Pass<'p, 'a>,
    starts: &'p [usize],
    decay: f64,
    pooled: Option<PooledOutput>,
}

impl TrainingPass<'_, '_> {
    /// Pooled features before dropout, image by image.
    pub fn features(&self) -> impl Iterator<Item = &[f32]> {
        self.pass.features()
    }

    /// The averages of [`MovingRanges`] after this batch; none without fake quantisation.
    pub fn ranges(&self) -> &[f32] {
        self.pass.ranges()
    }

    /// Computes the gradient of every parameter from the gradient of the logits. Gradients of
    /// running statistics and frozen layers are 0.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn backward(
        self,
        logit_gradients: &[f32],
        gradients: &mut [f32],
    ) -> Result<(), ModelError> {
        let Some(pooled) = self.pooled else {
            return Ok(self.pass.backward(logit_gradients, gradients)?);
        };
        let expected = self.pass.features().map(<[f32]>::len).sum();
        check_length("gradients of features", logit_gradients.len(), expected)?;
        let map = MapGradient {
            layer: pooled.layer,
            values: &pooled.spread(logit_gradients),
        };
        Ok(self.pass.backward_from(&[], &[map], gradients)?)
    }

    /// The same bits, layer by layer from the last to the first. After each, `finished` gets all
    /// gradients and the place from which on they are final; 0 at the end. Without a classifier only
    /// once, at the end.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn backward_by_layers(
        self,
        logit_gradients: &[f32],
        gradients: &mut [f32],
        finished: &mut dyn FnMut(&mut [f32], usize),
    ) -> Result<(), ModelError> {
        if self.pooled.is_some() {
            self.backward(logit_gradients, gradients)?;
            finished(gradients, 0);
            return Ok(());
        }
        // Parameters are in order of computation.
        let Self { pass, starts, .. } = self;
        let start = |layer: usize| starts.get(layer).copied().unwrap_or(0);
        let mut finished = |gradients: &mut [f32], layer| finished(gradients, start(layer));
        Ok(pass.backward_by_layers(logit_gradients, gradients, &mut finished)?)
    }

    /// As [`TrainingPlan::update_running_statistics`], before the backward pass.
    ///
    /// # Errors
    /// If `parameters` has the wrong length.
    pub fn update_running_statistics(&self, parameters: &mut [f32]) -> Result<(), ModelError> {
        Ok(self
            .pass
            .update_running_statistics(parameters, self.decay)?)
    }
}

fn network(
    config: &MobileNetV1Config,
    layout: &FlatLayout,
    size: [usize; 2],
    epsilon: f64,
) -> Result<(TrainingNetwork, Option<PooledOutput>), ModelError> {
    let base = &config.base;
    let place = |layer: LayerName, part| layout.range(layer, part).map(|range| range.start);
    let required = |layer: LayerName, part| {
        let name = || format!("{layer}, {part:?}");
        place(layer, part).ok_or_else(|| ModelError::Missing { name: name() })
    };
    let mut layers = Vec::new();
    let [mut height, mut width] = size;
    for layer in body_layers(base)? {
        let output = layer.size(1, height, width)?;
        (height, width) = (output.rows.output, output.columns.output);
        let name = LayerName::Body(layer.endpoint);
        layers.push(TrainingLayer {
            kind: match layer.endpoint.kind {
                LayerKind::Depthwise => ConvKind::Depthwise,
                LayerKind::Conv | LayerKind::Pointwise => ConvKind::Conv,
            },
            geometry: layer.geometry,
            in_channels: layer.in_channels,
            out_channels: layer.out_channels,
            weights: required(name, Part::Weights)?,
            gamma: place(name, Part::Gamma),
            beta: place(name, Part::Beta),
            running_mean: required(name, Part::MovingMean)?,
            running_variance: required(name, Part::MovingVariance)?,
            activation: base.arg_scope.activation,
        });
    }
    let pooling = pooling(config.global_pool, [height, width])?;
    let head = match config.classes() {
        Some(classes) => TrainingHead {
            classes,
            weights: required(LayerName::Logits, Part::Weights)?,
            bias: required(LayerName::Logits, Part::Biases)?,
        },
        None => TrainingHead {
            classes: 0,
            weights: layout.len(),
            bias: layout.len(),
        },
    };
    let pooled = layers.last().filter(|_| head.classes == 0);
    let pooled = pooled.map(|last: &TrainingLayer| PooledOutput {
        layer: layers.len() - 1,
        map: [height, width],
        channels: last.out_channels,
        pooling,
    });
    let network = TrainingNetwork {
        image: [size[0], size[1], base.in_channels],
        layers,
        pooling,
        head,
        epsilon,
        parameters: layout.len(),
    };
    Ok((network, pooled))
}

fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), KernelError> {
    match found == expected {
        true => Ok(()),
        false => Err(KernelError::Length {
            what,
            expected,
            found,
        }),
    }
}
