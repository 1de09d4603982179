//! TF-slim: `MobilenetV1/Conv2d_1_depthwise/BatchNorm/gamma`.

use super::convention::{Convention, Framework, tensorflow_weights};
use super::limits::{mobilenets_layers, no_relu, only_slims_options, python};
use crate::architecture::{LayerName, Part};
use crate::checkpoint::metadata::Metadata;
use crate::config::PaddingRule;
use crate::preprocess::Preprocessing;

pub(super) const CONVENTION: Convention = Convention {
    framework: Framework::Slim,
    name: "TF-slim",
    first: &["Conv2d_0/weights"],
    prefix: SCOPE,
    names,
    weights: tensorflow_weights,
    is_bookkeeping,
    defaults,
    is_pytorch: false,
    call: Some(call),
};

/// The scope of the network's variables.
const SCOPE: &str = "MobilenetV1/";

/// Names after a scope. In frozen graphs a layer's scope may be doubled, but not the classifier's.
fn names(scope: &str, layer: LayerName, part: Part) -> Vec<String> {
    let name = match part {
        Part::Weights if layer.is_depthwise() => "depthwise_weights",
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

/// Constants of a graph: epsilon of batch normalisation in single operations, one per layer, and
/// the shape for the softmax.
fn is_bookkeeping(name: &str) -> bool {
    name.ends_with("/BatchNorm/batchnorm/add/y") || name.ends_with("Predictions/Reshape/shape")
}

pub(super) fn defaults() -> Metadata {
    Metadata::new(Preprocessing::slim(crate::DEFAULT_IMAGE_SIZE))
}

fn call(metadata: &Metadata) -> Result<String, String> {
    mobilenets_layers(metadata)?;
    only_slims_options(metadata)?;
    no_relu(metadata)?;
    let Metadata {
        width,
        min_depth,
        batch_norm_epsilon: epsilon,
        padding,
        ..
    } = metadata;
    Ok(format!(
        "slim.batch_norm epsilon={epsilon}; mobilenet_v1(num_classes={}, \
         depth_multiplier={width}, min_depth={min_depth}, use_explicit_padding={})",
        metadata.classes.unwrap_or(0),
        python(*padding != PaddingRule::Same),
    ))
}
