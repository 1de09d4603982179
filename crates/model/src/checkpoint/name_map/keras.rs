//! Keras: `conv_dw_1/kernel`, `conv_dw_1_bn/gamma`; older versions say `depthwise_kernel`, and files
//! of weights alone count a layer's variables: `conv_dw_1/vars/0`.

use super::of_convolution;
use crate::architecture::{LayerName, Part};
use crate::checkpoint::metadata::Metadata;
use crate::config::PaddingRule;
use crate::endpoint::LayerKind;
use crate::preprocess::Preprocessing;

pub(super) fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let (layer, depthwise) = match layer {
        LayerName::Logits => ("conv_preds".to_string(), false),
        LayerName::Body(endpoint) => match endpoint.kind {
            LayerKind::Conv => (format!("conv{}", endpoint.index + 1), false),
            LayerKind::Depthwise => (format!("conv_dw_{}", endpoint.index), true),
            LayerKind::Pointwise => (format!("conv_pw_{}", endpoint.index), false),
        },
    };
    let layer = if of_convolution(part) {
        layer
    } else {
        format!("{layer}_bn")
    };
    variables(&format!("{prefix}{layer}"), part, depthwise)
}

/// Names of a layer's variable, and its number in the order in which the layer makes them.
pub(super) fn variables(layer: &str, part: Part, depthwise: bool) -> Vec<String> {
    let names: &[&str] = match part {
        Part::Weights if depthwise => &["kernel", "depthwise_kernel", "vars/0"],
        Part::Weights => &["kernel", "vars/0"],
        Part::Biases => &["bias", "vars/1"],
        Part::Gamma => &["gamma", "vars/0"],
        Part::Beta => &["beta", "vars/1"],
        Part::MovingMean => &["moving_mean", "vars/2"],
        Part::MovingVariance => &["moving_variance", "vars/3"],
    };
    names.iter().map(|name| format!("{layer}/{name}")).collect()
}

/// Keras' own image loading squeezes the photo to the size with nearest or bilinear
/// interpolation, without a crop.
pub(super) fn defaults() -> Metadata {
    Metadata {
        padding: PaddingRule::Keras,
        global_pool: true,
        ..Metadata::new(Preprocessing::plain(crate::DEFAULT_IMAGE_SIZE))
    }
}
