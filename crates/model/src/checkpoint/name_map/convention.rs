//! A framework's names, layouts and defaults, as one value.

use crate::architecture::{LayerName, Part};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;

/// A framework, or another source of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// This project.
    Ours,
    /// TF-slim, and TensorFlow.js if it runs slim's graph.
    Slim,
    /// Hugging Face transformers' `MobileNetV1ForImageClassification`, or the bare model.
    HuggingFace,
    /// timm's `mobilenetv1_*`.
    Timm,
    /// Keras' `MobileNet`, in its own files, SavedModels and TensorFlow.js.
    Keras,
    /// Keras networks whose layers have no names, but numbers.
    KerasCounted,
    /// No names: parameters are found by the order of operations.
    Graph,
}

/// Properties of a framework.
pub(in crate::checkpoint) struct Convention {
    pub(in crate::checkpoint) framework: Framework,
    /// Its name in messages.
    pub(super) name: &'static str,
    /// Names of the first convolution's weights, by which the framework is recognised.
    pub(super) first: &'static [&'static str],
    /// The prefix that the framework itself writes before all names.
    pub(super) prefix: &'static str,
    /// Names of a tensor after a given prefix, the likeliest first.
    pub(super) names: fn(&str, LayerName, Part) -> Vec<String>,
    /// Layout of a layer's weights.
    pub(super) weights: fn(LayerName) -> Layout,
    /// Whether a tensor of the network holds no parameter, so that it need not be reported.
    pub(super) is_bookkeeping: fn(&str) -> bool,
    /// Metadata of its networks, for what the file does not say.
    pub(super) defaults: fn() -> Metadata,
    /// Whether its networks are PyTorch modules.
    pub(in crate::checkpoint) is_pytorch: bool,
    /// How its users build the network. `None`: we do not write files with its names.
    pub(in crate::checkpoint) call: Option<Call>,
}

/// The call that builds a network in the framework's own language, or what its MobileNetV1 lacks.
pub(in crate::checkpoint) type Call = fn(&Metadata) -> Result<String, String>;

/// For frameworks whose files hold only parameters.
pub(super) fn no_bookkeeping(_: &str) -> bool {
    false
}

/// Layouts of weights in TensorFlow and Keras.
pub(super) fn tensorflow_weights(layer: LayerName) -> Layout {
    if layer.is_depthwise() {
        Layout::Hwcm
    } else {
        Layout::Hwio
    }
}
