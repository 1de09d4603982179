//! How a framework names and keeps the parameters: all that is to be known of it, in one value.

use crate::architecture::{LayerName, Part};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;

/// Whose names they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// This project.
    Ours,
    /// TF-slim, and TensorFlow.js where it runs slim's graph.
    Slim,
    /// Hugging Face transformers' `MobileNetV1ForImageClassification`, or the bare model.
    HuggingFace,
    /// timm's `mobilenetv1_*`.
    Timm,
    /// Keras' `MobileNet`, in its own files, in SavedModels and in TensorFlow.js.
    Keras,
    /// Keras' counters, in networks whose layers have no names.
    KerasCounted,
    /// Whatever the names: the order of operations.
    Graph,
}

/// What is to be known of a framework.
pub(in crate::checkpoint) struct Convention {
    pub(in crate::checkpoint) framework: Framework,
    /// What messages call it.
    pub(super) name: &'static str,
    /// Names of the weights of the first convolution: by them a framework is recognised.
    pub(super) first: &'static [&'static str],
    /// What the framework itself writes before all names.
    pub(super) prefix: &'static str,
    /// What it calls a tensor, after a prefix; where there are several names, the likeliest first.
    pub(super) names: fn(&str, LayerName, Part) -> Vec<String>,
    /// How it lays out the weights of a layer.
    pub(super) weights: fn(LayerName) -> Layout,
    /// Whether a tensor belongs to the network and holds no parameter: not worth a report.
    pub(super) is_bookkeeping: fn(&str) -> bool,
    /// What holds for its networks where the file says nothing.
    pub(super) defaults: fn() -> Metadata,
    /// Whether its networks are PyTorch's modules.
    pub(in crate::checkpoint) is_pytorch: bool,
    /// How its users build the network; `None` where no file is written with its names.
    pub(in crate::checkpoint) call: Option<Call>,
}

/// The call that builds a network in the framework's own language, or what its MobileNetV1 lacks.
pub(in crate::checkpoint) type Call = fn(&Metadata) -> Result<String, String>;

/// For frameworks that keep nothing beside their parameters.
pub(super) fn no_bookkeeping(_: &str) -> bool {
    false
}

/// TensorFlow's and Keras' weights.
pub(super) fn tensorflow_weights(layer: LayerName) -> Layout {
    if layer.is_depthwise() {
        Layout::Hwcm
    } else {
        Layout::Hwio
    }
}
