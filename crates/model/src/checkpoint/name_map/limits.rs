//! What the MobileNetV1 of a framework may lack. Each check gives, where it fails, what is lacking:
//! a network that has "no ...".

use crate::architecture::scaled_depth;
use crate::checkpoint::metadata::{Metadata, SavedActivation};
use crate::config::PaddingRule;
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};

/// Only ours has layers without batch normalisation.
pub(super) fn no_folding(metadata: &Metadata) -> Result<(), String> {
    if metadata.folded {
        return Err("layers with batch normalisation folded into them".to_string());
    }
    Ok(())
}

/// Keras has a padding of its own and a channel multiplier, slim and its copies have neither.
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

/// Every layer must have the channels that the framework's own rule gives: from the channels at
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
