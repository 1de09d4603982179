//! The two networks with which the paper compares MobileNet's structure: one of full convolutions,
//! and one with fewer layers.

use crate::config::MobileNetV1Config;
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
use crate::endpoint::{Endpoint, LayerKind};

/// Blocks that Shallow MobileNet lacks: the five of 512 channels on maps of 14x14.
const REMOVED: std::ops::RangeInclusive<usize> = 7..=11;

/// Conv MobileNet (table 4): each block is one full 3x3 convolution with the block's stride.
pub fn conv_mobilenet() -> MobileNetV1Config {
    let rows = MOBILENET_V1_CONV_DEFS.iter().map(|row| {
        let (ConvDef::Conv { stride, depth, .. } | ConvDef::DepthSepConv { stride, depth, .. }) =
            *row;
        ConvDef::conv(stride, depth)
    });
    with_rows(rows.collect(), LayerKind::Conv)
}

/// Shallow MobileNet (table 5).
pub fn shallow_mobilenet() -> MobileNetV1Config {
    let rows = MOBILENET_V1_CONV_DEFS.into_iter().enumerate();
    let kept = rows.filter(|(index, _)| !REMOVED.contains(index));
    with_rows(kept.map(|(_, row)| row).collect(), LayerKind::Pointwise)
}

fn with_rows(conv_defs: Vec<ConvDef>, last: LayerKind) -> MobileNetV1Config {
    let mut config = MobileNetV1Config::mobilenet_v1();
    config.base.final_endpoint = Endpoint {
        index: conv_defs.len() - 1,
        kind: last,
    };
    config.base.conv_defs = conv_defs;
    config
}
