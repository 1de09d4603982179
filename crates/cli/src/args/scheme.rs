//! How weights become integers, for `quantize` and `train --quantize`.

use clap::ValueEnum;

/// How many scales the integers of a layer's weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemeName {
    /// int8 with a scale for each output channel, as in TensorFlow Lite's specification
    PerChannel,
    /// uint8 with one scale and zero point for each layer, as in Google's networks
    PerTensor,
}
