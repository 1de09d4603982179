//! The two networks with which the paper compares MobileNet's structure: one of full convolutions,
//! and one with fewer layers.

use crate::config::MobileNetV1Config;
use crate::structure::Structure;

/// Conv MobileNet (table 4): each block is one full 3x3 convolution with the block's stride.
pub fn conv_mobilenet() -> MobileNetV1Config {
    with_layers(Structure::Conv)
}

/// Shallow MobileNet (table 5).
pub fn shallow_mobilenet() -> MobileNetV1Config {
    with_layers(Structure::Shallow)
}

fn with_layers(structure: Structure) -> MobileNetV1Config {
    MobileNetV1Config {
        base: structure.base_config(),
        ..MobileNetV1Config::mobilenet_v1()
    }
}
