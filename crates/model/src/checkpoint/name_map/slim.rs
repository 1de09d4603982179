//! TF-slim: `MobilenetV1/Conv2d_1_depthwise/BatchNorm/gamma`.

use crate::architecture::{LayerName, Part};
use crate::checkpoint::metadata::Metadata;
use crate::endpoint::LayerKind;
use crate::preprocess::Preprocessing;

/// The scope of the network's variables.
pub(super) const SCOPE: &str = "MobilenetV1/";

/// In frozen graphs the scope of a layer may be doubled, while that of the classifier is not.
pub(super) fn names(scope: &str, layer: LayerName, part: Part) -> Vec<String> {
    let depthwise =
        matches!(layer, LayerName::Body(endpoint) if endpoint.kind == LayerKind::Depthwise);
    let name = match part {
        Part::Weights if depthwise => "depthwise_weights",
        Part::Weights => "weights",
        Part::Biases => "biases",
        Part::Gamma => "BatchNorm/gamma",
        Part::Beta => "BatchNorm/beta",
        Part::MovingMean => "BatchNorm/moving_mean",
        Part::MovingVariance => "BatchNorm/moving_variance",
    };
    let layer = match layer {
        LayerName::Body(endpoint) => endpoint.to_string(),
        LayerName::Logits => "Logits/Conv2d_1c_1x1".to_string(),
    };
    let single = scope
        .strip_suffix(SCOPE)
        .filter(|outer| outer.ends_with(SCOPE));
    [Some(scope), single]
        .into_iter()
        .flatten()
        .map(|scope| format!("{scope}{layer}/{name}"))
        .collect()
}

/// The epsilon of batch normalisation in single operations, one constant a layer, and the shape
/// that the softmax reshapes to.
pub(super) fn is_bookkeeping(name: &str) -> bool {
    name.ends_with("/BatchNorm/batchnorm/add/y") || name.ends_with("Predictions/Reshape/shape")
}

pub(super) fn defaults() -> Metadata {
    Metadata::new(Preprocessing::slim(crate::DEFAULT_IMAGE_SIZE))
}
