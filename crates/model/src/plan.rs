//! Inference without candle. Weights are folded and packed once, then planned for an input size.
//!
//! ```text
//! parameters -> fold batch norm (f64) -> PlanWeights (packed, shared)
//! PlanWeights + PlanOptions (size, threads, ...) -> InferencePlan -> run(pixels, logits)
//! ```
//!
//! A run allocates no memory and takes no lock. While its threads are warm, it makes no system
//! call.

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
use crate::fold::{ScaledLayer, folded_logits, kernel_shape, scale};
use crate::initialize::Parameters;
use crate::pooling::pooling;
use crate::preprocess::Preprocessing;

/// Packed weights, which any number of plans can share. Clones share them too.
#[derive(Debug, Clone)]
pub struct PlanWeights {
    network: Arc<PackedWeights>,
    config: MobileNetV1Config,
}

/// Options of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Number of threads, including the caller's.
    pub threads: usize,
    /// The output of a run.
    pub output: PlanOutput,
    /// Activations that a run also returns, for heads that read several. See
    /// [`InferencePlan::run_all`].
    pub endpoints: Vec<Endpoint>,
    /// Largest total stride: 8, 16 or 32.
    pub output_stride: Option<usize>,
    /// Memory layout of f32 images and of output maps.
    pub layout: ImageLayout,
    /// Normalisation of 8-bit frames, for plans that take them. See [`Self::with_frames`].
    pub frames: Option<Normalization>,
}

/// The output of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlanOutput {
    /// Logits, `[batch, classes]`.
    #[default]
    Logits,
    /// Pooled features, `[batch, channels]`.
    Features,
    /// The activation of a layer, `[batch, height, width, channels]`, or in the plan's layout.
    Endpoint(Endpoint),
}

impl PlanOptions {
    /// A plan for logits of images of this size.
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

    /// A plan that also takes 8-bit frames of the network's size, normalised as this rule says.
    #[must_use]
    pub fn with_frames(mut self, rule: &Preprocessing) -> Self {
        let pairs = rule.mean.iter().zip(&rule.std);
        self.frames = Some(Normalization {
            scale: rule.std.iter().map(|std| 1.0 / (255.0 * std)).collect(),
            shift: pairs.map(|(mean, std)| -mean / std).collect(),
        });
        self
    }
}

impl PlanWeights {
    /// Folds and packs a network's parameters for the machine's best instruction set, or for the
    /// one in `MOBILENET_ISA`.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape.
    pub fn new(config: &MobileNetV1Config, parameters: &Parameters) -> Result<Self, ModelError> {
        Self::of_type(WeightType::F32, config, parameters)
    }

    /// As [`Self::new`], but after folding, the weights of pointwise layers and of the classifier
    /// (99 % of all) are rounded to a type. Kernels convert them to f32 when they load them. All
    /// sums are f32.
    ///
    /// At width 1, 16-bit weights take 8.6 MB and f32 weights 21.6 MB. The difference is more than
    /// a factor of 2, because Strassen's scheme, used for f32 only, has more weights. Time of
    /// 1.0/224 on one thread of Zen 5 with AVX-512, best of 120 runs: f32 4.84 ms, f16 4.93 ms,
    /// bf16 4.90 ms. The three took turns, so that none found its weights in a cache. When f32 runs
    /// alone, cached weights save up to another 5 %. For random weights, the logits differ from
    /// those of f32 by 3e-4 (f16) and 3e-3 (bf16) of the largest logit.
    ///
    /// # Errors
    /// As [`Self::new`], and if a weight is beyond the type's range.
    pub fn of_type(
        weight_type: WeightType,
        config: &MobileNetV1Config,
        parameters: &Parameters,
    ) -> Result<Self, ModelError> {
        let parameters = Cow::Borrowed(parameters);
        Self::pack(best_isa()?, weight_type, config, parameters)
    }

    /// As [`Self::of_type`], but frees each layer's parameters once they are packed, to save memory
    /// (17 MB for 1.0/224).
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

    /// As [`Self::of_type`], for a given instruction set.
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
        // One layer at a time, so that owned weights are freed once they are packed.
        let mut packer = Packer::new(weight_type, isa, &shapes, config.classes())?;
        for (layer, times) in layers.into_iter().zip(times) {
            let ScaledLayer {
                weights,
                scales,
                bias,
            } = scale(config, &layer, &mut parameters)?;
            let packed = if times == 1 {
                packer.scaled_layer(&weights, scales.as_deref(), &bias)
            } else {
                let channels = layer.out_channels;
                let scales = scales.map(|scales| repeated(&scales, channels, times));
                let [weights, bias] =
                    [&*weights, &bias].map(|values| repeated(values, channels, times));
                packer.scaled_layer(&weights, scales.as_deref(), &bias)
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

/// A network that is ready to run for one input size. It is `Send`, and shares its weights with
/// other plans.
#[derive(Debug)]
pub struct InferencePlan {
    program: Program,
}

impl InferencePlan {
    /// Plans the computation, allocates memory and starts the threads.
    ///
    /// # Errors
    /// If the network cannot take images of this size, or an option is invalid.
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
        // A feature map is not pooled. `Global` cannot fail, whatever the size of the map.
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

    /// Rows, columns and channels of the output for one image, followed by those of each endpoint.
    pub fn output_shapes(&self) -> &[[usize; 3]] {
        self.program.output_shapes()
    }

    /// Rows, columns and channels of the output for one image. Logits and features have one pixel.
    pub fn output_shape(&self) -> [usize; 3] {
        self.program.output_shape()
    }

    /// Number of values of one image.
    pub fn input_len(&self) -> usize {
        self.program.input_len()
    }

    /// Number of values of the output for one image.
    pub fn output_len(&self) -> usize {
        self.program.output_len()
    }

    /// Bytes of memory for activations.
    pub fn arena_bytes(&self) -> usize {
        self.program.arena_bytes()
    }

    /// Runs one normalised image or a batch. The batch size follows from the lengths. As many
    /// images as can be divided evenly are computed by one thread each, the others by all threads
    /// together. The bits are the same either way.
    ///
    /// # Shapes
    /// `images` `[batch, height, width, channels]` (or in the plan's layout); `output` `[batch,
    /// classes]`, or features, or the endpoint's map.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn run(&mut self, images: &[f32], output: &mut [f32]) -> Result<(), ModelError> {
        let layout = self.program.layout();
        let images = Images::F32(images, layout);
        Ok(self.program.run(&images, output)?)
    }

    /// As [`Self::run`], for a plan with [`PlanOptions::endpoints`]. Takes a slice for the output,
    /// then one for each endpoint's map.
    ///
    /// # Errors
    /// If a slice is missing or has the wrong length. Nothing is computed then.
    pub fn run_all(
        &mut self,
        images: &[f32],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), ModelError> {
        let images = Images::F32(images, self.program.layout());
        Ok(self.program.run_all(&images, outputs)?)
    }

    /// Runs 8-bit RGB frames, `[batch, height, width, channels]`. Normalisation is folded into the
    /// first convolution.
    ///
    /// # Errors
    /// As [`Self::run`], and if the plan was built without [`PlanOptions::frames`].
    pub fn run_u8(&mut self, images: &[u8], output: &mut [f32]) -> Result<(), ModelError> {
        let images = Images::U8(images);
        Ok(self.program.run(&images, output)?)
    }
}

fn best_isa() -> Result<Isa, ModelError> {
    Ok(Isa::best()?)
}

/// Checks all parameters before memory is allocated for the packed weights.
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

/// How many times each layer must repeat its output channels. Kernels support only depthwise layers
/// with one filter per channel. Several filters per channel are the same as one filter per channel
/// on an input whose channels are repeated.
fn repetitions(layers: &[Layer], multiplier: usize) -> Vec<usize> {
    let is_depthwise = |layer: &Layer| layer.endpoint.kind == LayerKind::Depthwise;
    let feeds_depthwise = layers.iter().enumerate().map(|(index, layer)| {
        !is_depthwise(layer) && layers.get(index + 1).is_some_and(is_depthwise)
    });
    feeds_depthwise
        .map(|feeds| if feeds { multiplier } else { 1 })
        .collect()
}

/// Repeats the values of each output channel.
fn repeated<T: Copy>(values: &[T], channels: usize, times: usize) -> Vec<T> {
    let each = values.len() / channels.max(1);
    values
        .chunks(each.max(1))
        .flat_map(|channel| std::iter::repeat_n(channel, times).flatten())
        .copied()
        .collect()
}
