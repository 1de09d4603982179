//! Keras: `conv_dw_1/kernel`, `conv_dw_1_bn/gamma`; older versions say `depthwise_kernel`.

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
    let names: &[&str] = match part {
        Part::Weights if depthwise => &["kernel", "depthwise_kernel"],
        Part::Weights => &["kernel"],
        Part::Biases => &["bias"],
        Part::Gamma => &["gamma"],
        Part::Beta => &["beta"],
        Part::MovingMean => &["moving_mean"],
        Part::MovingVariance => &["moving_variance"],
    };
    names
        .iter()
        .map(|name| format!("{prefix}{layer}/{name}"))
        .collect()
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
