//! The arguments of slim's `mobilenet_v1_base`, `mobilenet_v1` and `mobilenet_v1_arg_scope`.

use std::fmt;

use mobilenet_kernels::{Activation, BatchNormConfig, Normalizer};
use serde::{Deserialize, Serialize};

use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
use crate::endpoint::Endpoint;

/// Side of the images on which the published network was trained (slim's `default_image_size`).
pub const DEFAULT_IMAGE_SIZE: usize = 224;

/// How every convolution pads its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaddingRule {
    /// TensorFlow's SAME, slim's default.
    #[default]
    Same,
    /// slim's `use_explicit_padding`, and PyTorch's `padding=1`: the same padding on both sides for
    /// every input size. Output sizes are those of SAME. Values differ for even sizes at stride 2.
    Explicit,
    /// Keras: as SAME, but depthwise layers of stride 2 pad one row at the bottom and one column at
    /// the right. Differs from SAME for odd sizes.
    Keras,
}

impl fmt::Display for PaddingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "SAME padding",
            Self::Explicit => "explicit padding",
            Self::Keras => "Keras' padding",
        })
    }
}

/// Distribution of initial weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WeightInitializer {
    /// Normal distribution with mean 0, truncated at two standard deviations.
    TruncatedNormal {
        /// Standard deviation before truncation.
        stddev: f64,
    },
    /// Uniform between plus and minus `sqrt(6 / (fan_in + fan_out))`: tf-slim's own default.
    XavierUniform,
}

/// slim's `mobilenet_v1_arg_scope`: settings of all layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArgScope {
    /// How batch normalisation in [`crate::MobileNetV1Base`] normalises: by the batch
    /// (`Some(true)`), by the running statistics (`Some(false)`), or as each call says (`None`).
    /// [`crate::MobileNetV1`] always follows the call, because slim's classifier overrides this
    /// setting by an inner scope.
    pub is_training: Option<bool>,
    /// Factor of `sum(w^2) / 2` in the loss, for weights of full and pointwise convolutions and of
    /// the logits.
    pub weight_decay: f64,
    /// Whether weight decay includes depthwise weights. The paper advises against it.
    pub regularize_depthwise: bool,
    /// Initial values of weights.
    pub initializer: WeightInitializer,
    /// The normaliser after each convolution.
    pub normalizer: Normalizer,
    /// The activation after the normaliser.
    pub activation: Activation,
}

impl Default for ArgScope {
    /// `mobilenet_v1_arg_scope(is_training=None)`.
    fn default() -> Self {
        Self {
            is_training: None,
            weight_decay: 4e-5,
            regularize_depthwise: false,
            initializer: WeightInitializer::TruncatedNormal { stddev: 0.09 },
            normalizer: Normalizer::BatchNorm(BatchNormConfig::default()),
            activation: Activation::Relu6,
        }
    }
}

impl ArgScope {
    /// tf-slim's defaults outside any scope: ReLU, Xavier, biases instead of batch normalisation,
    /// no weight decay.
    pub fn tf_slim_defaults() -> Self {
        Self {
            is_training: None,
            weight_decay: 0.0,
            regularize_depthwise: false,
            initializer: WeightInitializer::XavierUniform,
            normalizer: Normalizer::Bias,
            activation: Activation::Relu,
        }
    }

    /// tf-slim's defaults of `batch_norm` outside `mobilenet_v1_arg_scope`: without gamma.
    pub fn tf_slim_batch_norm() -> BatchNormConfig {
        BatchNormConfig {
            decay: 0.999,
            epsilon: 1e-3,
            center: true,
            scale: false,
        }
    }
}

/// Arguments of slim's `mobilenet_v1_base`, and two of other frameworks.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseConfig {
    /// Last layer to build.
    pub final_endpoint: Endpoint,
    /// Least number of channels of a layer.
    pub min_depth: usize,
    /// The width multiplier (alpha in the paper). The channels of every layer become
    /// `max(trunc(depth * depth_multiplier), min_depth)`.
    pub depth_multiplier: f64,
    /// The layers of the body.
    pub conv_defs: Vec<ConvDef>,
    /// Largest total stride: 8, 16 or 32. Layers beyond it are dilated instead of strided.
    pub output_stride: Option<usize>,
    /// slim's `use_explicit_padding`, and Keras' padding.
    pub padding: PaddingRule,
    /// Channels of the input image.
    pub in_channels: usize,
    /// Filters per input channel in depthwise layers (Keras' `depth_multiplier`). slim has 1.
    pub channel_multiplier: usize,
    /// Settings of all layers.
    pub arg_scope: ArgScope,
}

impl Default for BaseConfig {
    fn default() -> Self {
        Self {
            final_endpoint: Endpoint::LAST,
            min_depth: 8,
            depth_multiplier: 1.0,
            conv_defs: MOBILENET_V1_CONV_DEFS.to_vec(),
            output_stride: None,
            padding: PaddingRule::Same,
            in_channels: 3,
            channel_multiplier: 1,
            arg_scope: ArgScope::default(),
        }
    }
}

/// Turns logits into predictions in place. It gets the classes of one image or pixel at a time.
pub type PredictionFn = fn(&mut [f32]);

/// Softmax over the classes: slim's default `prediction_fn`.
pub fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in logits.iter_mut() {
        *value = (*value - largest).exp();
    }
    let sum: f32 = logits.iter().sum();
    for value in logits.iter_mut() {
        *value /= sum;
    }
}

/// Arguments of slim's `mobilenet_v1`.
#[derive(Debug, Clone)]
pub struct MobileNetV1Config {
    /// The body. slim's classifier passes on only three of its arguments, ours all of them.
    pub base: BaseConfig,
    /// Number of classes. `None` or 0: no classifier, the output is pooled features.
    pub num_classes: Option<usize>,
    /// Probability with which dropout keeps a feature in training.
    pub dropout_keep_prob: f64,
    /// The function from logits to the endpoint `Predictions`. `None`: no such endpoint.
    pub prediction_fn: Option<PredictionFn>,
    /// Whether logits are `[B, classes]` rather than `[B, classes, 1, 1]`.
    pub spatial_squeeze: bool,
    /// Whether the whole map is averaged instead of a 7x7 window with stride 2.
    pub global_pool: bool,
}

impl Default for MobileNetV1Config {
    fn default() -> Self {
        Self {
            base: BaseConfig::default(),
            num_classes: Some(1000),
            dropout_keep_prob: 0.999,
            prediction_fn: Some(softmax),
            spatial_squeeze: true,
            global_pool: false,
        }
    }
}

impl MobileNetV1Config {
    /// The network with a width multiplier.
    pub fn with_width(depth_multiplier: f64) -> Self {
        Self {
            base: BaseConfig {
                depth_multiplier,
                ..BaseConfig::default()
            },
            ..Self::default()
        }
    }

    /// Preset of width 1.0 (slim's `mobilenet_v1`).
    pub fn mobilenet_v1() -> Self {
        Self::default()
    }

    /// Preset of width 0.75 (slim's `mobilenet_v1_075`).
    pub fn mobilenet_v1_075() -> Self {
        Self::with_width(0.75)
    }

    /// Preset of width 0.5 (slim's `mobilenet_v1_050`).
    pub fn mobilenet_v1_050() -> Self {
        Self::with_width(0.5)
    }

    /// Preset of width 0.25 (slim's `mobilenet_v1_025`).
    pub fn mobilenet_v1_025() -> Self {
        Self::with_width(0.25)
    }

    /// Number of classes. 0 becomes `None`.
    pub fn classes(&self) -> Option<usize> {
        self.num_classes.filter(|&classes| classes > 0)
    }
}
