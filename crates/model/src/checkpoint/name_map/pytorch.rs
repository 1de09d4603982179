//! What transformers and timm share, since both use PyTorch modules.

use crate::architecture::{LayerName, Part};
use crate::checkpoint::layout::Layout;

/// PyTorch's counter of batches, one per normalisation. Nothing uses it.
pub(in crate::checkpoint) const BATCHES: &str = ".num_batches_tracked";

pub(super) fn is_bookkeeping(name: &str) -> bool {
    name.ends_with(BATCHES)
}

/// All layers are convolutions, except the classifier.
pub(super) fn weights(layer: LayerName) -> Layout {
    match layer {
        LayerName::Logits => Layout::Linear,
        LayerName::Body(_) => Layout::Same,
    }
}

/// Suffix of a tensor of the convolution or of the normalisation.
pub(super) fn suffix(part: Part) -> &'static str {
    match part {
        Part::Weights | Part::Gamma => "weight",
        Part::Biases | Part::Beta => "bias",
        Part::MovingMean => "running_mean",
        Part::MovingVariance => "running_var",
    }
}
