//! A network of integers whose last layers are dilated instead of strided, as slim's
//! `output_stride` has it.

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{IntegerNetwork, IntegerOperation};

use crate::architecture::{Layer, body_layers};
use crate::config::MobileNetV1Config;
use crate::endpoint::LayerKind;
use crate::error::ModelError;

/// The body of a network with the windows of a configuration. What comes after the body is left
/// out: the file's pool is for maps of another size.
///
/// # Errors
/// If the configuration is invalid, or the network's layers are not those of MobileNetV1.
pub fn with_output_stride(
    mut network: IntegerNetwork,
    config: &MobileNetV1Config,
) -> Result<IntegerNetwork, ModelError> {
    let body = body_layers(&config.base)?;
    let mut windows = body.iter();
    let mut layers = Vec::new();
    for mut layer in network.layers {
        if let IntegerOperation::Convolution(convolution) = &mut layer.operation {
            let Some(window) = windows.next() else {
                break;
            };
            let kernel = window.geometry.kernel;
            if convolution.kind != kind(window) || convolution.geometry.kernel != kernel {
                return Err(ModelError::Setting {
                    setting: "output_stride",
                    range: "for layers of MobileNetV1",
                    found: format!("`{}` instead of {}", layer.name, window.endpoint),
                });
            }
            convolution.geometry = window.geometry;
        } else if windows.len() == 0 {
            break;
        }
        layers.push(layer);
    }
    network.layers = layers;
    Ok(network)
}

fn kind(layer: &Layer) -> ConvKind {
    match layer.endpoint.kind {
        LayerKind::Depthwise => ConvKind::Depthwise,
        LayerKind::Conv | LayerKind::Pointwise => ConvKind::Conv,
    }
}
