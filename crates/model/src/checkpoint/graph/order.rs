//! Finds parameters by the order of operations, because names differ by exporter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::affine::MOST_VALUES;
use super::facts::Facts;
use super::walk::{Walk, walk};
use crate::architecture::{LayerName, MOST_CHANNELS, Part};
use crate::array::Values;
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;
use crate::checkpoint::name_map::{Found, Framework, Names, keras, keras_counted};
use crate::checkpoint::readers::graph::Graph;
use crate::checkpoint::readers::{NamedTensors, RawTensor};
use crate::endpoint::{Endpoint, LayerKind};

/// The parameters of a graph.
pub(in crate::checkpoint) struct GraphOrder {
    sources: BTreeMap<(LayerName, Part), Source>,
    /// Constants that are not weights: bounds, shapes, scales of the image.
    bookkeeping: BTreeSet<String>,
}

/// Where the values of a parameter come from.
enum Source {
    /// A tensor of the file.
    Tensor { name: String, layout: Layout },
    /// One value for all channels. Graphs leave out parameters that change nothing, such as a scale
    /// of 1 in batch normalisation, or a bias of 0.
    Constant {
        name: String,
        channels: usize,
        value: f32,
    },
}

impl Source {
    fn name(&self) -> &String {
        match self {
            Self::Tensor { name, .. } | Self::Constant { name, .. } => name,
        }
    }

    fn plain(name: &str) -> Self {
        Self::Tensor {
            name: name.to_string(),
            layout: Layout::Same,
        }
    }
}

impl Names for GraphOrder {
    fn framework(&self) -> Framework {
        Framework::Graph
    }

    fn names(&self, layer: LayerName, part: Part) -> Vec<String> {
        let source = self.sources.get(&(layer, part));
        vec![source.map_or_else(
            || format!("{layer} {part:?}"),
            |source| source.name().clone(),
        )]
    }

    fn find(&self, file: &NamedTensors, layer: LayerName, part: Part) -> Option<Found> {
        let source = self.sources.get(&(layer, part))?;
        let (tensor, layout) = match source {
            Source::Tensor { name, layout } => (file.tensors.get(name)?.clone(), *layout),
            &Source::Constant {
                channels, value, ..
            } => {
                let values = Values::F32(vec![value; channels].into());
                let tensor = RawTensor::new("F32", vec![channels], Some(values));
                (tensor, Layout::Same)
            }
        };
        Some(Found {
            name: source.name().clone(),
            layout,
            tensor,
        })
    }

    fn is_bookkeeping(&self, name: &str) -> bool {
        self.bookkeeping.contains(name)
    }

    /// What the graph does not say is assumed to be as in TensorFlow's exporters. A Keras network
    /// that is not from `keras.applications` gets the defaults of hand-written networks.
    fn defaults(&self) -> Metadata {
        let stem = LayerName::Body(Endpoint {
            index: 0,
            kind: LayerKind::Conv,
        });
        match self.sources.get(&(stem, Part::Weights)) {
            Some(Source::Tensor {
                name,
                layout: Layout::Hwio,
            }) if !name.starts_with("conv1/") => keras_counted::defaults(),
            _ => keras::defaults(),
        }
    }
}

/// Finds the parameters of a graph among the file's tensors.
///
/// # Errors
/// A sentence, if the graph does not have the layers.
pub(in crate::checkpoint) fn follow(
    graph: &Graph,
    file: &NamedTensors,
    layers: &[LayerName],
) -> Result<(GraphOrder, Facts), String> {
    let body = layers.iter().filter_map(|layer| match layer {
        LayerName::Body(endpoint) => Some(*endpoint),
        LayerName::Logits => None,
    });
    let walk = walk(graph, file, body.collect())?;
    let sources = sources(&walk, file)?;
    let bookkeeping = bookkeeping(&sources, file);
    let first = walk.layers.first();
    let facts = Facts {
        size: graph.input.size,
        samples: graph.input.samples,
        epsilon: first.and_then(|layer| Some(layer.batch_norm.as_ref()?.epsilon)),
        activations: walk.layers.into_iter().map(|l| l.activation).collect(),
        affine: walk.affine,
        windows: walk.windows,
        pool: walk.pool.flatten(),
    };
    let order = GraphOrder {
        sources,
        bookkeeping,
    };
    Ok((order, facts))
}

fn sources(
    walk: &Walk,
    file: &NamedTensors,
) -> Result<BTreeMap<(LayerName, Part), Source>, String> {
    let mut sources = BTreeMap::new();
    for layer in &walk.layers {
        let (endpoint, conv) = (layer.endpoint, &layer.conv);
        let channels = channels(file, &conv.weights, conv.layout);
        let or_constant = |tensor: &Option<String>, what: &str, value| match tensor {
            Some(name) => Source::plain(name),
            None => Source::Constant {
                name: format!("{endpoint} (no {what})"),
                channels,
                value,
            },
        };
        let mut put =
            |part, source| drop(sources.insert((LayerName::Body(endpoint), part), source));
        let (name, layout) = (conv.weights.clone(), conv.layout);
        put(Part::Weights, Source::Tensor { name, layout });
        let first = &walk.layers[0];
        match (&layer.batch_norm, &first.batch_norm) {
            (Some(norm), Some(other)) if norm.epsilon == other.epsilon => {
                put(Part::Gamma, or_constant(&norm.gamma, "gamma", 1.0));
                put(Part::Beta, or_constant(&norm.beta, "beta", 0.0));
                put(Part::MovingMean, Source::plain(&norm.mean));
                put(Part::MovingVariance, Source::plain(&norm.variance));
                if let Some(bias) = &conv.bias {
                    put(Part::Biases, Source::plain(bias));
                }
            }
            (None, None) => put(Part::Biases, or_constant(&conv.bias, "bias", 0.0)),
            _ => {
                return Err(format!(
                    "{endpoint} has another batch normalisation than {}",
                    first.endpoint
                ));
            }
        }
    }
    if let Some((weights, layout, bias)) = &walk.logits {
        let bias = match bias {
            Some(name) => Source::plain(name),
            None => Source::Constant {
                name: "classifier (no bias)".to_string(),
                channels: channels(file, weights, *layout),
                value: 0.0,
            },
        };
        let (name, layout) = (weights.clone(), *layout);
        let weights = Source::Tensor { name, layout };
        sources.insert((LayerName::Logits, Part::Weights), weights);
        sources.insert((LayerName::Logits, Part::Biases), bias);
    }
    Ok(sources)
}

/// Output channels of weights that are in the file. The limit is needed because every layer of a
/// hostile file may name the same weights.
fn channels(file: &NamedTensors, weights: &str, layout: Layout) -> usize {
    let tensor = file.tensors.get(weights).filter(|t| t.values.is_some());
    tensor
        .and_then(|tensor| layout.our_shape(&tensor.shape).first().copied())
        .map_or(0, |channels| channels.min(MOST_CHANNELS))
}

/// Tensors that are not weights, and weights under a second name.
fn bookkeeping(
    sources: &BTreeMap<(LayerName, Part), Source>,
    file: &NamedTensors,
) -> BTreeSet<String> {
    let used: BTreeSet<&String> = sources.values().map(Source::name).collect();
    let id = |name: &String| file.tensors.get(name)?.values.as_ref().map(Arc::as_ptr);
    let used_values: Vec<_> = used.iter().filter_map(|name| id(name)).collect();
    let is_bookkeeping = |(name, tensor): &(&String, &RawTensor)| {
        let Some(values) = &tensor.values else {
            return true;
        };
        let small = values.len() <= MOST_VALUES;
        !used.contains(name) && (small || used_values.contains(&Arc::as_ptr(values)))
    };
    let found = file.tensors.iter().filter(is_bookkeeping);
    found.map(|(name, _)| name.clone()).collect()
}
