//! Finds the tensor of each parameter. Later stages use this result and do not search again.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::CheckpointError;
use super::graph::{Facts, follow};
use super::metadata::Metadata;
use super::misfit::Misfit;
use super::name_map::{Found, NameMap, Names};
use super::readers::NamedTensors;
use crate::architecture::{LayerName, Part, body_layers};

/// The parameters of MobileNetV1 that are in a file.
pub(super) struct Resolved {
    /// The rule by which parameters were found: names, or a graph.
    pub(super) names: Box<dyn Names>,
    /// Facts of the file's graph, if it has one.
    pub(super) facts: Option<Facts>,
    found: BTreeMap<(LayerName, Part), Found>,
}

/// Finds every parameter: by the graph if there is one, otherwise by names.
///
/// # Errors
/// If the graph is another network, or the names are those of no framework.
pub(super) fn resolve(
    path: &Path,
    file: &NamedTensors,
    averages: bool,
) -> Result<Resolved, CheckpointError> {
    let layers = layers(file);
    let (names, facts): (Box<dyn Names>, _) = match &file.graph {
        Some(graph) => {
            let (order, facts) =
                follow(graph, file, &layers).map_err(|problem| CheckpointError::Architecture {
                    path: path.to_path_buf(),
                    problem,
                    misfit: Box::new(Misfit::default()),
                })?;
            (Box::new(order), Some(facts))
        }
        None => {
            let names = || file.tensors.keys().map(String::as_str);
            let map = NameMap::detect(names(), averages);
            let map = map.ok_or_else(|| CheckpointError::UnknownNames {
                path: path.to_path_buf(),
                count: file.tensors.len(),
                misfit: Box::new(Misfit::of_unknown(names())),
            })?;
            (Box::new(map), None)
        }
    };
    let layers = layers.into_iter();
    let keys = layers.flat_map(|layer| Part::ALL.map(|part| (layer, part)));
    let found = keys.filter_map(|(layer, part)| {
        let found = names.find(file, layer, part)?;
        Some(((layer, part), found))
    });
    Ok(Resolved {
        found: found.collect(),
        names,
        facts,
    })
}

/// The layers that may be in a file: only our own describe another network than MobileNet. An entry
/// that cannot be read, or describes none, is an error later.
fn layers(file: &NamedTensors) -> Vec<LayerName> {
    let own = Metadata::of_file(&file.metadata).and_then(Result::ok);
    match own.filter(|own| !own.network.is_mobilenet()) {
        Some(own) => {
            let body = body_layers(&own.config().base).unwrap_or_default();
            let body = body.iter().map(|layer| LayerName::Body(layer.endpoint));
            body.chain([LayerName::Logits]).collect()
        }
        None => LayerName::all().collect(),
    }
}

impl Resolved {
    /// A parameter, if the file has it.
    pub(super) fn get(&self, layer: LayerName, part: Part) -> Option<&Found> {
        self.found.get(&(layer, part))
    }

    /// A parameter, which this forgets.
    pub(super) fn take(&mut self, layer: LayerName, part: Part) -> Option<Found> {
        self.found.remove(&(layer, part))
    }

    /// Shape of a layer's weights, `[out, in, rows, columns]`.
    pub(super) fn weight_shape(&self, layer: LayerName) -> Option<[usize; 4]> {
        let Found { tensor, layout, .. } = self.get(layer, Part::Weights)?;
        layout.our_shape(&tensor.shape).try_into().ok()
    }
}
