//! transformers: `mobilenet_v1.layer.0.convolution.weight`. The stem is apart; layers count
//! depthwise and pointwise convolutions alternately.

use super::{of_convolution, pytorch_suffix};
use crate::architecture::{LayerName, Part};
use crate::checkpoint::metadata::Metadata;
use crate::endpoint::LayerKind;
use crate::preprocess::Preprocessing;

/// What stands before the body in the model with a classifier.
pub(super) const PREFIX: &str = "mobilenet_v1.";

pub(super) fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let suffix = pytorch_suffix(part);
    let LayerName::Body(endpoint) = layer else {
        let outer = prefix.strip_suffix(PREFIX).unwrap_or(prefix);
        return vec![format!("{outer}classifier.{suffix}")];
    };
    let module = if of_convolution(part) {
        "convolution"
    } else {
        "normalization"
    };
    let index = 2 * endpoint.index.saturating_sub(1);
    let layer = match endpoint.kind {
        LayerKind::Conv => "conv_stem".to_string(),
        LayerKind::Depthwise => format!("layer.{index}"),
        LayerKind::Pointwise => format!("layer.{}", index + 1),
    };
    vec![format!("{prefix}{layer}.{module}.{suffix}")]
}

pub(super) fn defaults() -> Metadata {
    Metadata {
        global_pool: true,
        ..Metadata::new(Preprocessing::hugging_face(crate::DEFAULT_IMAGE_SIZE))
    }
}
