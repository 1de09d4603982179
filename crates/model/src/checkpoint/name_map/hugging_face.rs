//! transformers: `mobilenet_v1.layer.0.convolution.weight`. The stem has a name of its own. The
//! number of a layer counts depthwise and pointwise convolutions alternately.

use super::convention::{Convention, Framework};
use super::limits::{mobilenets_layers, only_slims_options, python};
use super::pytorch;
use crate::architecture::{LayerName, Part};
use crate::checkpoint::metadata::{Metadata, SavedActivation};
use crate::config::PaddingRule;
use crate::endpoint::LayerKind;
use crate::preprocess::Preprocessing;

pub(super) const CONVENTION: Convention = Convention {
    framework: Framework::HuggingFace,
    name: "Hugging Face transformers",
    first: &["conv_stem.convolution.weight"],
    prefix: PREFIX,
    names,
    weights: pytorch::weights,
    is_bookkeeping: pytorch::is_bookkeeping,
    defaults,
    is_pytorch: true,
    call: Some(call),
};

/// Prefix of the body's names in the model with a classifier.
const PREFIX: &str = "mobilenet_v1.";

fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let suffix = pytorch::suffix(part);
    let LayerName::Body(endpoint) = layer else {
        let outer = prefix.strip_suffix(PREFIX).unwrap_or(prefix);
        return vec![format!("{outer}classifier.{suffix}")];
    };
    let module = if part.is_convolution() {
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

fn defaults() -> Metadata {
    Metadata {
        global_pool: true,
        ..Metadata::new(Preprocessing::hugging_face(crate::DEFAULT_IMAGE_SIZE))
    }
}

fn call(metadata: &Metadata) -> Result<String, String> {
    mobilenets_layers(metadata)?;
    only_slims_options(metadata)?;
    let Metadata {
        width,
        min_depth,
        batch_norm_epsilon: epsilon,
        padding,
        activation,
        ..
    } = metadata;
    Ok(format!(
        "MobileNetV1Config(num_labels={}, depth_multiplier={width}, min_depth={min_depth}, \
         layer_norm_eps={epsilon}, tf_padding={}, hidden_act=\"{}\")",
        metadata.classes.unwrap_or(0),
        python(*padding == PaddingRule::Same),
        match activation {
            SavedActivation::Relu => "relu",
            SavedActivation::Relu6 => "relu6",
        },
    ))
}
