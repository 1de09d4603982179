//! Finds the tensor of each parameter. Later stages use this result and do not search again.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::CheckpointError;
use super::graph::{Facts, follow};
use super::misfit::Misfit;
use super::name_map::{Found, NameMap, Names};
use super::readers::NamedTensors;
use crate::architecture::{LayerName, Part};

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
    let (names, facts): (Box<dyn Names>, _) = match &file.graph {
        Some(graph) => {
            let (order, facts) =
                follow(graph, file).map_err(|problem| CheckpointError::Architecture {
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
    let keys = LayerName::all().flat_map(|layer| Part::ALL.map(|part| (layer, part)));
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
