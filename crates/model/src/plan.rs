//! Inference without candle: weights folded and packed once, a program for each input size.
//!
//! ```text
//! parameters -> batch norm folded (f64) -> PlanWeights (packed, shared)
//! PlanWeights + PlanOptions (size, threads, ...) -> InferencePlan -> run(pixels, logits)
//! ```
//!
//! A run allocates nothing, takes no lock and makes no system call while its threads are warm.

use std::borrow::Cow;
use std::sync::Arc;

use mobilenet_kernels::inference::{
    ImageLayout, Images, LayerShape, Normalization, Output, PackedWeights, Packer, Pooling,
    Program, ProgramConfig, WeightType,
};
use mobilenet_kernels::simd::Isa;

use crate::architecture::{self, Layer, body_layers};
use crate::config::MobileNetV1Config;
use crate::endpoint::{Endpoint, LayerKind};
use crate::error::ModelError;
use crate::fold::{FoldedLayer, fold, folded_logits, kernel_shape};
use crate::initialize::Parameters;
use crate::pooling::pooling;

/// Packed weights, shared by any number of plans (cloning shares, too).
#[derive(Debug, Clone)]
pub struct PlanWeights {
    network: Arc<PackedWeights>,
    config: MobileNetV1Config,
}

/// What a plan is built for.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Number of threads, the caller's included.
    pub threads: usize,
    /// What a run gives.
    pub output: PlanOutput,
    /// Activations that it gives beside that, for heads that read several; see
    /// [`InferencePlan::run_all`].
    pub endpoints: Vec<Endpoint>,
    /// Largest total stride, 8, 16 or 32.
    pub output_stride: Option<usize>,
    /// Order of an f32 image's values, and of an output map's.
    pub layout: ImageLayout,
    /// Normalisation of 8-bit frames, for plans that take such; see
    /// [`crate::preprocess::Preprocessing::normalization`].
    pub frames: Option<Normalization>,
}

/// What a run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlanOutput {
    /// Class scores, `[batch, classes]`.
    #[default]
    Logits,
    /// Pooled features, `[batch, channels]`.
    Features,
    /// The activation of a layer, `[batch, height, width, channels]` or by the plan's layout.
    Endpoint(Endpoint),
}

impl PlanOptions {
    /// Logits of images of that size, on so many threads.
    pub fn new(size: [usize; 2], threads: usize) -> Self {
        Self {
            size,
            threads,
            output: PlanOutput::Logits,
            endpoints: Vec::new(),
            output_stride: None,
            layout: ImageLayout::Nhwc,
            frames: None,
        }
    }
}

impl PlanWeights {
    /// Folds and packs the parameters of a network for the machine's best instruction set, or the
    /// one that `MOBILENET_ISA` names.
    ///
    /// # Errors
    /// Where a parameter is missing or of another shape.
    pub fn new(config: &MobileNetV1Config, parameters: &Parameters) -> Result<Self, ModelError> {
        Self::of_type(WeightType::F32, config, parameters)
    }

    /// [`Self::new`] with the weights of pointwise layers and of the classifier, 99 of 100, rounded
    /// to a type after folding. They are converted as they are loaded; all sums are f32.
    ///
    /// At width 1 halves take 8.6 MB and f32 21.6, because only f32 is computed by Strassen's
    /// scheme, which has more weights. 1.0/224 on one thread of Zen 5 with AVX-512, best of 120 runs
    /// in turn, so that no weights wait in a cache: f32 4.84 ms, f16 4.93, bf16 4.90. Alone in the
    /// cache f32 gains up to 5 % more. The logits differ from those of f32 by 3e-4 (f16) and 3e-3
    /// (bf16) of the largest, for random weights.
    ///
    /// # Errors
    /// As [`Self::new`], and where a weight is beyond the type's range.
    pub fn of_type(
        weight_type: WeightType,
        config: &MobileNetV1Config,
        parameters: &Parameters,
    ) -> Result<Self, ModelError> {
        let parameters = Cow::Borrowed(parameters);
        Self::pack(best_isa()?, weight_type, config, parameters)
    }

    /// [`Self::of_type`] of parameters that nobody needs afterwards: each layer's are given up when
    /// they are packed, so that less memory is in use at once (1.0/224: 17 MB).
    ///
    /// # Errors
    /// As [`Self::of_type`].
    pub fn consuming(
        weight_type: WeightType,
        config: &MobileNetV1Config,
        parameters: Parameters,
    ) -> Result<Self, ModelError> {
        Self::pack(best_isa()?, weight_type, config, Cow::Owned(parameters))
    }

    /// [`Self::of_type`] for a stated instruction set.
    ///
    /// # Errors
    /// As [`Self::of_type`].
    pub fn for_isa(
        isa: Isa,
        weight_type: WeightType,
        config: &MobileNetV1Config,
        parameters: &Parameters,
    ) -> Result<Self, ModelError> {
        Self::pack(isa, weight_type, config, Cow::Borrowed(parameters))
    }

    fn pack(
        isa: Isa,
        weight_type: WeightType,
        config: &MobileNetV1Config,
        mut parameters: Cow<'_, Parameters>,
    ) -> Result<Self, ModelError> {
        check_shapes(config, &parameters)?;
        let layers = body_layers(&config.base)?;
        let times = repetitions(&layers, config.base.channel_multiplier);
        let activation = config.base.arg_scope.activation;
        let shape = |(layer, times): (&Layer, &usize)| {
            let shape = kernel_shape(layer, activation);
            LayerShape {
                out_channels: shape.out_channels * times,
                ..shape
            }
        };
        let shapes: Vec<_> = layers.iter().zip(&times).map(shape).collect();
        // Layer by layer, so that only one layer's folded weights are in memory.
        let mut packer = Packer::new(weight_type, isa, &shapes, config.classes())?;
        for (layer, times) in layers.into_iter().zip(times) {
            let FoldedLayer {
                layer,
                weights,
                bias,
            } = fold(config, layer, &parameters)?;
            if let Cow::Owned(parameters) = &mut parameters {
                let prefix = format!("{}.", layer.endpoint);
                parameters.retain(|name, _| !name.starts_with(&prefix));
            }
            let packed = if times == 1 {
                packer.layer(&weights, &bias)
            } else {
                let repeated = |values| repeated(values, layer.out_channels, times);
                packer.layer(&repeated(&weights), &repeated(&bias))
            };
            packed?;
        }
        let network = match folded_logits(config, &parameters)? {
            Some(logits) => packer.head(&logits.weights, &logits.bias),
            None => packer.finish(),
        };
        Ok(Self {
            network: Arc::new(network?),
            config: config.clone(),
        })
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.network.isa()
    }

    /// The type of the weights of pointwise layers and of the classifier.
    pub fn weight_type(&self) -> WeightType {
        self.network.weight_type()
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.network.bytes()
    }
}

/// A network for one input size, ready to run. `Send`; several plans share their weights.
#[derive(Debug)]
pub struct InferencePlan {
    program: Program,
}

impl InferencePlan {
    /// Plans the steps, allocates the arena, starts the threads.
    ///
    /// # Errors
    /// Where the network cannot take images of that size, or an option is impossible.
    pub fn new(weights: &PlanWeights, options: &PlanOptions) -> Result<Self, ModelError> {
        let mut base = weights.config.base.clone();
        base.output_stride = options.output_stride;
        if let PlanOutput::Endpoint(endpoint) = options.output {
            base.final_endpoint = endpoint;
        }
        let layers = body_layers(&base)?;
        let (mut height, mut width) = (options.size[0], options.size[1]);
        for layer in &layers {
            let size = layer.size(1, height, width)?;
            (height, width) = (size.rows.output, size.columns.output);
        }
        let is_map = matches!(options.output, PlanOutput::Endpoint(_));
        // A map alone is not pooled, so that no head can fail.
        let pooling = match is_map {
            true => Pooling::Global,
            false => pooling(weights.config.global_pool, [height, width])?,
        };
        let map = |endpoint: Endpoint| {
            let index = layers.iter().position(|layer| layer.endpoint == endpoint);
            index
                .map(Output::Map)
                .ok_or_else(|| ModelError::UnknownEndpoint {
                    name: endpoint.to_string(),
                })
        };
        let mut outputs = vec![match options.output {
            PlanOutput::Logits => Output::Logits,
            PlanOutput::Features => Output::Features,
            PlanOutput::Endpoint(endpoint) => map(endpoint)?,
        }];
        for &endpoint in &options.endpoints {
            outputs.push(map(endpoint)?);
        }
        let config = ProgramConfig {
            height: options.size[0],
            width: options.size[1],
            geometries: layers.iter().map(|layer| layer.geometry).collect(),
            outputs,
            pooling,
            layout: options.layout,
            threads: options.threads,
            normalization: options.frames.clone(),
        };
        let program = Program::new(weights.network.clone(), &config)?;
        Ok(Self { program })
    }

    /// Rows, columns and channels of one image's output and of its endpoints.
    pub fn output_shapes(&self) -> &[[usize; 3]] {
        self.program.output_shapes()
    }

    /// Rows, columns and channels of one image's output; 1 and 1 for logits and features.
    pub fn output_shape(&self) -> [usize; 3] {
        self.program.output_shape()
    }

    /// Values of one image.
    pub fn input_len(&self) -> usize {
        self.program.input_len()
    }

    /// Values of one image's output.
    pub fn output_len(&self) -> usize {
        self.program.output_len()
    }

    /// Bytes of activations.
    pub fn arena_bytes(&self) -> usize {
        self.program.arena_bytes()
    }

    /// Runs normalised images, one or a batch; their number follows from the lengths. Of a batch
    /// as many images as can be shared out evenly are computed each by one thread, the rest one by
    /// one by all together, with the same bits either way.
    ///
    /// # Shapes
    /// `images` `[batch, height, width, channels]` (or by the plan's layout), `output`
    /// `[batch, classes]`, or features, or the endpoint's map.
    ///
    /// # Errors
    /// Where a slice has the wrong length; nothing is computed then.
    pub fn run(&mut self, images: &[f32], output: &mut [f32]) -> Result<(), ModelError> {
        let layout = self.program.layout();
        let images = Images::F32(images, layout);
        Ok(self.program.run(&images, output)?)
    }

    /// [`Self::run`] of a plan with [`PlanOptions::endpoints`]: the output, then each endpoint's map,
    /// go to slices of their own.
    ///
    /// # Errors
    /// Where a slice has the wrong length or is missing; nothing is computed then.
    pub fn run_all(
        &mut self,
        images: &[f32],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), ModelError> {
        let images = Images::F32(images, self.program.layout());
        Ok(self.program.run_all(&images, outputs)?)
    }

    /// Runs 8-bit RGB frames, `[batch, height, width, channels]`. Their normalisation is folded
    /// into the first convolution.
    ///
    /// # Errors
    /// As [`Self::run`], and where the plan was built without [`PlanOptions::frames`].
    pub fn run_u8(&mut self, images: &[u8], output: &mut [f32]) -> Result<(), ModelError> {
        let images = Images::U8(images);
        Ok(self.program.run(&images, output)?)
    }
}

fn best_isa() -> Result<Isa, ModelError> {
    Ok(Isa::best()?)
}

/// Checks all parameters before memory is taken for their packed form.
fn check_shapes(config: &MobileNetV1Config, parameters: &Parameters) -> Result<(), ModelError> {
    for parameter in architecture::parameters(config)? {
        let name = parameter.name();
        let Some(tensor) = parameters.get(&name) else {
            return Err(ModelError::Missing { name });
        };
        if tensor.shape() != parameter.shape {
            return Err(ModelError::ParameterShape {
                name,
                expected: parameter.shape,
                found: tensor.shape().to_vec(),
            });
        }
    }
    Ok(())
}

/// How many times each layer gives its channels. Kernels know depthwise layers of one filter a
/// channel; one of several is the same on channels that the layer before gives several times.
fn repetitions(layers: &[Layer], multiplier: usize) -> Vec<usize> {
    let is_depthwise = |layer: &Layer| layer.endpoint.kind == LayerKind::Depthwise;
    let feeds_depthwise = layers.iter().enumerate().map(|(index, layer)| {
        !is_depthwise(layer) && layers.get(index + 1).is_some_and(is_depthwise)
    });
    feeds_depthwise
        .map(|feeds| if feeds { multiplier } else { 1 })
        .collect()
}

/// Each output channel's values so many times.
fn repeated(values: &[f32], channels: usize, times: usize) -> Vec<f32> {
    let each = values.len() / channels.max(1);
    values
        .chunks(each.max(1))
        .flat_map(|channel| std::iter::repeat_n(channel, times).flatten())
        .copied()
        .collect()
}
