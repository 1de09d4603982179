//! Names, shapes and initial values of a network's parameters.

use mobilenet_kernels::{Activation, Normalizer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::network::{Layer, Network, Node};
use crate::array::{Array, ShapeError};
use crate::error::ModelError;
use crate::initialize::Parameters;

/// Channels of an image.
pub(crate) const IN_CHANNELS: usize = 3;

/// Name and shape of every parameter, in order of computation: `NAME.weight`, and `NAME.bias` or
/// `NAME.batch_norm.{weight, bias, running_mean, running_var}`.
pub fn parameters(network: &Network) -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    visit(&network.nodes, IN_CHANNELS, &mut |layer, in_channels| {
        all.extend(of_layer(layer, in_channels));
    });
    all
}

fn of_layer(layer: &Layer, in_channels: usize) -> Vec<(String, Vec<usize>)> {
    let vectors: &[&str] = match layer.normalizer {
        Normalizer::BatchNorm(_) => &[
            "batch_norm.weight",
            "batch_norm.bias",
            "batch_norm.running_mean",
            "batch_norm.running_var",
        ],
        Normalizer::Bias => &["bias"],
        Normalizer::None => &[],
    };
    let named = |part: &str| format!("{}.{part}", layer.name);
    let weight = (named("weight"), layer.weight_shape(in_channels).to_vec());
    let vectors = vectors
        .iter()
        .map(|part| (named(part), vec![layer.out_channels]));
    [weight].into_iter().chain(vectors).collect()
}

/// Initial values: weights uniform, of a spread by which activations keep their scale (He's rule,
/// without its factor for ReLU where none follows); gamma and running variance 1, all else 0. A
/// seed gives the same values on every machine.
///
/// # Errors
/// None is known to occur: values fill their shapes.
pub fn initial_parameters(network: &Network, seed: u64) -> Result<Parameters, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut arrays = Vec::new();
    visit(&network.nodes, IN_CHANNELS, &mut |layer, in_channels| {
        for (name, shape) in of_layer(layer, in_channels) {
            let values = initial_values(layer, &name, &shape, &mut rng);
            arrays.push(Array::new(shape, values).map(|array| (name, array)));
        }
    });
    Ok(arrays
        .into_iter()
        .collect::<Result<Parameters, ShapeError>>()?)
}

fn initial_values(layer: &Layer, name: &str, shape: &[usize], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let count = shape.iter().product();
    match *shape {
        [_, inputs, rows, columns] => {
            let gain = if layer.activation == Activation::Identity {
                1.0
            } else {
                2.0
            };
            let limit = (3.0 * gain / (inputs * rows * columns) as f64).sqrt();
            let values = (0..count).map(|_| (limit * rng.random_range(-1.0..1.0)) as f32);
            values.collect()
        }
        _ if name.ends_with("batch_norm.weight") || name.ends_with("running_var") => {
            vec![1.0; count]
        }
        _ => vec![0.0; count],
    }
}

/// Visits every layer with its number of input channels. Returns the channels of the last map.
fn visit(nodes: &[Node], channels: usize, each: &mut dyn FnMut(&Layer, usize)) -> usize {
    let mut channels = channels;
    for node in nodes {
        let mut ends = |branches: &[Vec<Node>]| -> Vec<usize> {
            let branches = branches.iter();
            branches.map(|nodes| visit(nodes, channels, each)).collect()
        };
        channels = match node {
            Node::Layer(layer) => {
                each(layer, channels);
                layer.out_channels
            }
            Node::Concat(branches) => ends(branches).iter().sum(),
            Node::Sum(branches) => ends(branches).first().copied().unwrap_or(channels),
            Node::Pool(_) | Node::Activation(_) | Node::LocalResponse | Node::GlobalMean => {
                channels
            }
        };
    }
    channels
}

/// Channels of the map after some nodes.
#[cfg(feature = "candle")]
pub(crate) fn channels_after(nodes: &[Node], channels: usize) -> usize {
    visit(nodes, channels, &mut |_, _| {})
}
