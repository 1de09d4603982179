//! Parameters and multiply-adds of a network's layers, and the shapes of its parameters.

use mobilenet_kernels::Normalizer;

use super::network::{Connection, Layer, Network};
use super::parameters::IN_CHANNELS;
use super::shapes::walk;
use crate::error::ModelError;
use crate::inspect::{LayerSummary, Summary};

/// The cost of a network for an image of `height` x `width`.
///
/// # Errors
/// As [`walk`].
pub fn cost(network: &Network, height: usize, width: usize) -> Result<Summary, ModelError> {
    let (mut layers, mut trainable_parameters) = (Vec::new(), 0);
    let image = [height, width, IN_CHANNELS];
    walk(&network.nodes, image, &mut |layer, input, output| {
        let weights: usize = layer.weight_shape(input[2]).iter().product();
        let [trained, moving] = normalizer_values(layer);
        trainable_parameters += weights + trained;
        layers.push(LayerSummary {
            name: layer.name.clone(),
            kind: kind(layer).into(),
            stride: layer.stride,
            dilation: 1,
            output,
            parameters: weights + trained + moving,
            multiply_adds: (output[0] * output[1]) as u64 * weights as u64,
        });
    })?;
    let multiply_adds = layers.iter().map(|layer| layer.multiply_adds).sum();
    Ok(Summary {
        parameters: layers.iter().map(|layer| layer.parameters).sum(),
        trainable_parameters,
        multiply_adds,
        body_multiply_adds: multiply_adds - layers.last().map_or(0, |last| last.multiply_adds),
        layers,
    })
}

/// Values that training changes by gradients, and running statistics.
fn normalizer_values(layer: &Layer) -> [usize; 2] {
    let channels = layer.out_channels;
    match layer.normalizer {
        Normalizer::BatchNorm(norm) => {
            let trained = usize::from(norm.scale) + usize::from(norm.center);
            [trained * channels, 2 * channels]
        }
        Normalizer::Bias => [channels, 0],
        Normalizer::None => [0, 0],
    }
}

fn kind(layer: &Layer) -> String {
    let [rows, columns] = layer.kernel;
    match layer.connection {
        Connection::Depthwise => format!("depthwise {rows}x{columns}"),
        Connection::Groups(groups) => format!("conv {rows}x{columns} in {groups} groups"),
        Connection::Full => format!("conv {rows}x{columns}"),
    }
}
