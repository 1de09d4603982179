//! Checks whether a framework's MobileNetV1 can represent a network. An error says what it lacks
//! and completes the sentence "it has no ...".

use crate::architecture::scaled_depth;
use crate::checkpoint::metadata::{Metadata, SavedActivation};
use crate::config::PaddingRule;
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};

/// Other layers than MobileNet's, and those without batch normalisation, exist only here.
pub(super) fn mobilenets_layers(metadata: &Metadata) -> Result<(), String> {
    if !metadata.network.is_mobilenet() {
        return Err(format!("network with the layers of {}", metadata.network));
    }
    if metadata.folded {
        return Err("layers with batch normalisation folded into them".to_string());
    }
    Ok(())
}

/// Keras' padding and a channel multiplier do not exist in slim and its copies.
pub(super) fn only_slims_options(metadata: &Metadata) -> Result<(), String> {
    if metadata.padding == PaddingRule::Keras {
        return Err("padding as Keras has it".to_string());
    }
    match metadata.channel_multiplier {
        1 => Ok(()),
        multiplier => Err(format!("channel multiplier {multiplier}")),
    }
}

pub(super) fn no_relu(metadata: &Metadata) -> Result<(), String> {
    match metadata.activation {
        SavedActivation::Relu => Err("ReLU without a limit".to_string()),
        SavedActivation::Relu6 => Ok(()),
    }
}

/// Checks the channels of every layer against the framework's own rule, which takes the channels at
/// width 1 and the width.
pub(super) fn channels(
    metadata: &Metadata,
    rule: impl Fn(usize, f64) -> usize,
) -> Result<(), String> {
    let width = metadata.width;
    for depth in MOBILENET_V1_CONV_DEFS.iter().map(ConvDef::depth) {
        let (ours, theirs) = (
            scaled_depth(depth, width, metadata.min_depth),
            rule(depth, width),
        );
        if ours != theirs {
            return Err(format!(
                "layer of {ours} channels at width {width}, where it has {theirs}"
            ));
        }
    }
    Ok(())
}

pub(super) fn python(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
