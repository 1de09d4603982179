//! The paper's networks that differ in `conv_defs` alone: MobileNet, and the two with which it
//! compares MobileNet's structure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::BaseConfig;
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
use crate::endpoint::{Endpoint, LayerKind};

/// Blocks that Shallow MobileNet lacks: the five of 512 channels on maps of 14x14.
const REMOVED: std::ops::RangeInclusive<usize> = 7..=11;

/// Which layers a network has. The names are those of files and of [`crate::prior_work::NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Structure {
    /// MobileNetV1.
    #[default]
    #[serde(rename = "mobilenet")]
    MobileNet,
    /// Table 5: fewer layers.
    #[serde(rename = "shallow_mobilenet")]
    Shallow,
    /// Table 4: each block is one full 3x3 convolution with the block's stride.
    #[serde(rename = "conv_mobilenet")]
    Conv,
}

impl Structure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MobileNet, Self::Shallow, Self::Conv];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MobileNet => "mobilenet",
            Self::Shallow => "shallow_mobilenet",
            Self::Conv => "conv_mobilenet",
        }
    }

    /// Whether it is MobileNetV1.
    pub fn is_mobilenet(&self) -> bool {
        *self == Self::MobileNet
    }

    /// Its layers.
    pub fn conv_defs(self) -> Vec<ConvDef> {
        let rows = MOBILENET_V1_CONV_DEFS.into_iter();
        match self {
            Self::MobileNet => rows.collect(),
            Self::Shallow => {
                let kept = rows.enumerate().filter(|(row, _)| !REMOVED.contains(row));
                kept.map(|(_, def)| def).collect()
            }
            Self::Conv => {
                let full = rows.map(|def| {
                    let (ConvDef::Conv { stride, depth, .. }
                    | ConvDef::DepthSepConv { stride, depth, .. }) = def;
                    ConvDef::conv(stride, depth)
                });
                full.collect()
            }
        }
    }

    /// slim's default arguments with these layers.
    pub fn base_config(self) -> BaseConfig {
        let conv_defs = self.conv_defs();
        let kind = match self {
            Self::MobileNet | Self::Shallow => LayerKind::Pointwise,
            Self::Conv => LayerKind::Conv,
        };
        BaseConfig {
            final_endpoint: Endpoint {
                index: conv_defs.len() - 1,
                kind,
            },
            conv_defs,
            ..BaseConfig::default()
        }
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
