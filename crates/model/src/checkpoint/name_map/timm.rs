//! timm: `blocks.1.0.conv_dw.weight`. A new stage begins where the depth changes. `bn1` follows the
//! depthwise convolution, `bn2` the pointwise one.

use super::convention::{Convention, Framework};
use super::limits::{self, mobilenets_layers, only_slims_options};
use super::pytorch;
use crate::architecture::{LayerName, Part};
use crate::checkpoint::metadata::{Metadata, SavedActivation};
use crate::config::PaddingRule;
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
use crate::endpoint::LayerKind;
use crate::preprocess::Preprocessing;

pub(super) const CONVENTION: Convention = Convention {
    framework: Framework::Timm,
    name: "timm",
    first: &["conv_stem.weight"],
    prefix: "",
    names,
    weights: pytorch::weights,
    is_bookkeeping: pytorch::is_bookkeeping,
    defaults,
    is_pytorch: true,
    call: Some(call),
};

fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let suffix = pytorch::suffix(part);
    let LayerName::Body(endpoint) = layer else {
        return vec![format!("{prefix}classifier.{suffix}")];
    };
    let (convolution, normalization) = match endpoint.kind {
        LayerKind::Conv => ("conv_stem", "bn1"),
        LayerKind::Depthwise => ("conv_dw", "bn1"),
        LayerKind::Pointwise => ("conv_pw", "bn2"),
    };
    let module = if part.is_convolution() {
        convolution
    } else {
        normalization
    };
    vec![match endpoint.kind {
        LayerKind::Conv => format!("{prefix}{module}.{suffix}"),
        LayerKind::Depthwise | LayerKind::Pointwise => {
            let (stage, block) = stage_and_block(endpoint.index);
            format!("{prefix}blocks.{stage}.{block}.{module}.{suffix}")
        }
    }]
}

/// timm's stage and block for a row of `conv_defs`.
fn stage_and_block(index: usize) -> (usize, usize) {
    let rows = &MOBILENET_V1_CONV_DEFS[1..];
    let before = &rows[..index.clamp(1, rows.len()) - 1];
    let own = rows.get(before.len()).map_or(0, ConvDef::depth);
    let block = before
        .iter()
        .rev()
        .take_while(|row| row.depth() == own)
        .count();
    let mut stages: Vec<usize> = before
        .iter()
        .map(ConvDef::depth)
        .filter(|&d| d != own)
        .collect();
    stages.dedup();
    (stages.len(), block)
}

fn defaults() -> Metadata {
    Metadata {
        batch_norm_epsilon: 1e-5,
        padding: PaddingRule::Explicit,
        global_pool: true,
        ..Metadata::new(Preprocessing::timm(crate::DEFAULT_IMAGE_SIZE, 0.875))
    }
}

fn call(metadata: &Metadata) -> Result<String, String> {
    mobilenets_layers(metadata)?;
    only_slims_options(metadata)?;
    limits::channels(metadata, channels)?;
    let Metadata {
        width,
        batch_norm_epsilon: epsilon,
        ..
    } = metadata;
    Ok(format!(
        "mobilenetv1_100(num_classes={}, channel_multiplier={width}, bn_eps={epsilon}, \
         pad_type=\"{}\"{})",
        metadata.classes.unwrap_or(0),
        match metadata.padding {
            PaddingRule::Same => "same",
            PaddingRule::Explicit | PaddingRule::Keras => "",
        },
        match metadata.activation {
            SavedActivation::Relu => ", act_layer=\"relu\"",
            SavedActivation::Relu6 => "",
        },
    ))
}

/// timm's rule: channels are rounded to multiples of 8, but never down by more than a tenth.
fn channels(depth: usize, width: f64) -> usize {
    let exact = depth as f64 * width;
    let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * exact {
        rounded + 8
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::stage_and_block;

    #[test]
    fn stages_follow_the_depths() {
        let found: Vec<_> = (1..=13).map(stage_and_block).collect();
        let expected = [
            (0, 0),
            (1, 0),
            (1, 1),
            (2, 0),
            (2, 1),
            (3, 0),
            (3, 1),
            (3, 2),
            (3, 3),
            (3, 4),
            (3, 5),
            (4, 0),
            (4, 1),
        ];
        assert_eq!(found, expected);
    }
}
