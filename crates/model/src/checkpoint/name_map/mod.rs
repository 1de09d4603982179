//! What each framework calls our parameters, and in which layout it keeps them; one file a
//! framework. What its files do not say about themselves (epsilon, padding, preprocessing) is
//! here as well, since it follows from the framework.

pub(super) mod graph_order;
mod hugging_face;
mod keras;
mod keras_counted;
mod ours;
mod slim;
mod timm;

pub use graph_order::GraphOrder;
pub(super) use slim::EPSILON as SLIM_EPSILON;

use std::fmt;

use super::layout::Layout;
use super::metadata::Metadata;
use crate::architecture::{LayerName, Parameter, Part};
use crate::endpoint::LayerKind;

/// Whose names a file uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameMap {
    /// Ours.
    Ours,
    /// TF-slim's variables under a scope (`MobilenetV1/`, which may be doubled or nested).
    Slim {
        /// What stands before `Conv2d_0`.
        scope: String,
    },
    /// Hugging Face transformers' `MobileNetV1ForImageClassification`, or the bare model.
    HuggingFace {
        /// `mobilenet_v1.` or nothing.
        prefix: String,
    },
    /// timm's `mobilenetv1_*`.
    Timm,
    /// Keras' `MobileNet`.
    Keras,
    /// Keras' counters, in networks whose layers have no names.
    KerasCounted,
    /// Whatever the names: the order of operations.
    Graph(GraphOrder),
}

impl fmt::Display for NameMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "this project",
            Self::Slim { .. } => "TF-slim",
            Self::HuggingFace { .. } => "Hugging Face transformers",
            Self::Timm => "timm",
            Self::Keras | Self::KerasCounted => "Keras",
            Self::Graph(_) => "its own graph",
        })
    }
}

impl NameMap {
    /// Recognises a framework by the name of the first convolution.
    pub fn detect<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        // A longer scope is a copy inside something larger; the shortest is the network.
        let ending = |suffix: &str| {
            names
                .clone()
                .filter_map(|name| name.strip_suffix(suffix))
                .min_by_key(|prefix| prefix.len())
                .map(str::to_string)
        };
        let has = |wanted: &str| names.clone().any(|name| name == wanted);
        if has("Conv2d_0.weight") {
            Some(Self::Ours)
        } else if let Some(scope) = ending("Conv2d_0/weights") {
            Some(Self::Slim { scope })
        } else if let Some(prefix) = ending("conv_stem.convolution.weight") {
            Some(Self::HuggingFace { prefix })
        } else if has("conv_stem.weight") {
            Some(Self::Timm)
        } else if has("conv1/kernel") || has("conv1/vars/0") {
            Some(Self::Keras)
        } else if has("conv2d/kernel") || has("conv2d/vars/0") {
            Some(Self::KerasCounted)
        } else {
            None
        }
    }

    /// What the framework calls a tensor; where it may have several names, the likeliest first.
    pub fn names(&self, layer: LayerName, part: Part) -> Vec<String> {
        match self {
            Self::Ours => ours::names(layer, part),
            Self::Slim { scope } => slim::names(scope, layer, part),
            Self::HuggingFace { prefix } => hugging_face::names(prefix, layer, part),
            Self::Timm => timm::names(layer, part),
            Self::Keras => keras::names(layer, part),
            Self::KerasCounted => keras_counted::names(layer, part),
            Self::Graph(order) => order.names(layer, part),
        }
    }

    /// How the framework lays out a parameter.
    pub(super) fn layout(&self, parameter: &Parameter) -> Layout {
        self.layout_of(parameter.layer, parameter.part)
    }

    pub(super) fn layout_of(&self, layer: LayerName, part: Part) -> Layout {
        if part != Part::Weights {
            return Layout::Same;
        }
        let depthwise =
            matches!(layer, LayerName::Body(endpoint) if endpoint.kind == LayerKind::Depthwise);
        match self {
            Self::Graph(order) => order.layout(layer, part),
            Self::Slim { .. } | Self::Keras | Self::KerasCounted if depthwise => Layout::Hwcm,
            Self::Slim { .. } | Self::Keras => Layout::Hwio,
            Self::KerasCounted if layer == LayerName::Logits => Layout::Dense,
            Self::KerasCounted => Layout::Hwio,
            Self::HuggingFace { .. } | Self::Timm if layer == LayerName::Logits => Layout::Linear,
            Self::Ours | Self::HuggingFace { .. } | Self::Timm => Layout::Same,
        }
    }

    /// Tensors that belong to the network and hold no parameter of it: not worth a report.
    pub(super) fn is_bookkeeping(&self, name: &str) -> bool {
        match self {
            Self::Slim { .. } => slim::is_bookkeeping(name),
            Self::HuggingFace { .. } | Self::Timm => name.ends_with(".num_batches_tracked"),
            Self::Graph(order) => order.is_bookkeeping(name),
            Self::Ours | Self::Keras | Self::KerasCounted => false,
        }
    }

    /// What holds for a network of this framework where nothing else is said.
    pub(super) fn defaults(&self) -> Metadata {
        match self {
            Self::Ours | Self::Slim { .. } => slim::defaults(),
            Self::HuggingFace { .. } => hugging_face::defaults(),
            Self::Timm => timm::defaults(),
            Self::Keras => keras::defaults(),
            Self::KerasCounted => keras_counted::defaults(),
            Self::Graph(order) => order.defaults(),
        }
    }
}

/// PyTorch's suffixes, shared by transformers and timm: of the convolution, or of the
/// normalisation.
fn pytorch_suffix(part: Part) -> &'static str {
    match part {
        Part::Weights | Part::Gamma => "weight",
        Part::Biases | Part::Beta => "bias",
        Part::MovingMean => "running_mean",
        Part::MovingVariance => "running_var",
    }
}

/// Whether the tensor is the convolution's own, not the normalisation's.
fn of_convolution(part: Part) -> bool {
    matches!(part, Part::Weights | Part::Biases)
}
