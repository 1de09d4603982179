//! Names and kinds of the network's layers, as slim's endpoints.

use std::fmt;
use std::str::FromStr;

use crate::error::ModelError;

/// Kind of a layer of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerKind {
    /// Full convolution.
    Conv,
    /// Depthwise convolution.
    Depthwise,
    /// Pointwise convolution.
    Pointwise,
}

/// A layer of the body: `Conv2d_0`, `Conv2d_1_depthwise`, `Conv2d_1_pointwise`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Row of `conv_defs`.
    pub index: usize,
    /// Kind, which tells apart the layers of one row.
    pub kind: LayerKind,
}

impl Endpoint {
    /// The last layer of MobileNetV1's body.
    pub const LAST: Self = Self {
        index: 13,
        kind: LayerKind::Pointwise,
    };
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.kind {
            LayerKind::Conv => "",
            LayerKind::Depthwise => "_depthwise",
            LayerKind::Pointwise => "_pointwise",
        };
        write!(f, "Conv2d_{}{suffix}", self.index)
    }
}

impl FromStr for Endpoint {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        let unknown = || ModelError::UnknownEndpoint { name: name.into() };
        let rest = name.strip_prefix("Conv2d_").ok_or_else(unknown)?;
        let (index, kind) = match rest.split_once('_') {
            None => (rest, LayerKind::Conv),
            Some((index, "depthwise")) => (index, LayerKind::Depthwise),
            Some((index, "pointwise")) => (index, LayerKind::Pointwise),
            Some(_) => return Err(unknown()),
        };
        let index = index.parse().map_err(|_| unknown())?;
        Ok(Self { index, kind })
    }
}

/// slim's names of the head's endpoints.
pub mod head {
    /// Average pool of the last map.
    pub const AVG_POOL: &str = "AvgPool_1a";
    /// Mean of the last map, with `global_pool`.
    pub const GLOBAL_POOL: &str = "global_pool";
    /// Logits, before the softmax.
    pub const LOGITS: &str = "Logits";
    /// Class probabilities.
    pub const PREDICTIONS: &str = "Predictions";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["Conv2d_0", "Conv2d_13_depthwise", "Conv2d_7_pointwise"] {
            assert_eq!(name.parse::<Endpoint>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "Mixed_5a",
            "Conv2d_",
            "Conv2d_x",
            "Conv2d_1_bias",
            "Logits",
        ] {
            let error = name.parse::<Endpoint>().unwrap_err();
            assert!(error.to_string().contains(name));
        }
    }
}
