//! Metadata of weights: what is needed to use them, but is not in the tensors.

use std::collections::BTreeMap;
use std::fmt;

use mobilenet_kernels::{BatchNormConfig, Normalizer};
use serde::{Deserialize, Serialize};

use crate::config::{ArgScope, BaseConfig, MobileNetV1Config, PaddingRule};
use crate::head::Head;
use crate::labels::Labels;
use crate::preprocess::Preprocessing;
use crate::structure::Structure;

/// Key of our entry in safetensors' `__metadata__`. Its value is [`Metadata`] as JSON.
pub const KEY: &str = "mobilenet_v1";

/// Everything about a network except its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Which layers it has, as `conv_defs`.
    #[serde(default, skip_serializing_if = "Structure::is_mobilenet")]
    pub network: Structure,
    /// Width multiplier.
    pub width: f64,
    /// Least number of channels of a layer.
    pub min_depth: usize,
    /// Channels of the input image.
    pub in_channels: usize,
    /// Filters per input channel in depthwise layers.
    pub channel_multiplier: usize,
    /// Number of classes. `None` without a classifier.
    pub classes: Option<usize>,
    /// Names of the classes.
    pub labels: Labels,
    /// What the last layer's numbers mean.
    #[serde(default, skip_serializing_if = "Head::is_classes")]
    pub head: Head,
    /// The probability below which the best class is no answer: the photo probably shows none of the
    /// classes. `None` if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_probability: Option<f64>,
    /// How a photo becomes the network's input.
    pub preprocessing: Preprocessing,
    /// Epsilon of every batch normalisation.
    pub batch_norm_epsilon: f64,
    /// How layers pad.
    pub padding: PaddingRule,
    /// The activation after every batch normalisation.
    pub activation: SavedActivation,
    /// Whether batch normalisation is folded into the convolutions, which then have biases.
    #[serde(default)]
    pub folded: bool,
    /// Whether the head averages the whole map.
    pub global_pool: bool,
    /// Where the weights come from.
    pub source: String,
}

/// The supported activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedActivation {
    /// ReLU6.
    #[default]
    Relu6,
    /// ReLU.
    Relu,
}

impl SavedActivation {
    /// The activation with this name, in any framework's spelling.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "relu6" => Some(Self::Relu6),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }
}

impl fmt::Display for SavedActivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relu6 => "ReLU6",
            Self::Relu => "ReLU",
        })
    }
}

impl From<SavedActivation> for mobilenet_kernels::Activation {
    fn from(activation: SavedActivation) -> Self {
        match activation {
            SavedActivation::Relu6 => Self::Relu6,
            SavedActivation::Relu => Self::Relu,
        }
    }
}

impl Metadata {
    /// slim's network of width 1 with 1001 classes, and this preprocessing.
    pub fn new(preprocessing: Preprocessing) -> Self {
        Self {
            network: Structure::MobileNet,
            width: 1.0,
            min_depth: 8,
            in_channels: 3,
            channel_multiplier: 1,
            classes: Some(crate::labels::IMAGENET_CLASSES),
            labels: Labels::ImageNet,
            head: Head::Classes,
            least_probability: None,
            preprocessing,
            batch_norm_epsilon: 1e-3,
            padding: PaddingRule::Same,
            activation: SavedActivation::Relu6,
            folded: false,
            global_pool: false,
            source: String::new(),
        }
    }

    /// The same network for images of another size (rows, columns). Its head then averages the
    /// whole map, as Keras' and timm's do; slim's takes 7x7 pixels at most.
    pub fn with_size(self, size: [usize; 2]) -> Self {
        Self {
            global_pool: self.global_pool || size != self.preprocessing.size,
            preprocessing: self.preprocessing.at_size(size),
            ..self
        }
    }

    /// The same network after its batch normalisation was folded into the convolutions.
    #[must_use]
    pub fn to_folded(&self) -> Self {
        Self {
            folded: true,
            ..self.clone()
        }
    }

    /// The configuration of the network.
    pub fn config(&self) -> MobileNetV1Config {
        let normalizer = if self.folded {
            Normalizer::Bias
        } else {
            Normalizer::BatchNorm(BatchNormConfig {
                epsilon: self.batch_norm_epsilon,
                ..BatchNormConfig::default()
            })
        };
        MobileNetV1Config {
            base: BaseConfig {
                min_depth: self.min_depth,
                depth_multiplier: self.width,
                padding: self.padding,
                in_channels: self.in_channels,
                channel_multiplier: self.channel_multiplier,
                arg_scope: ArgScope {
                    normalizer,
                    activation: self.activation.into(),
                    ..ArgScope::default()
                },
                ..self.network.base_config()
            },
            num_classes: self.classes,
            global_pool: self.global_pool,
            ..MobileNetV1Config::default()
        }
    }

    /// Our entry of a file's metadata, if there is one.
    pub(super) fn of_file(
        entries: &BTreeMap<String, String>,
    ) -> Option<Result<Self, serde_json::Error>> {
        Some(serde_json::from_str(entries.get(KEY)?))
    }
}
