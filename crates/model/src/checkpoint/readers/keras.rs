//! Keras files. Tensors are named `<layer>/<variable>`, or `<layer>/vars/<i>` where the file only
//! numbers a layer's variables. A description of the network, if there is one, becomes a graph.
//!
//! | file | weights | description |
//! |---|---|---|
//! | `.h5`, whole model | groups below `model_weights`, named by attributes | `model_config` |
//! | `.h5`, weights of Keras 2 | the same at the root | |
//! | `.weights.h5` of Keras 3 | `layers/<key>/vars/<i>`; an attribute of `vars` names the layer | |
//! | `.keras` | the same, as `model.weights.h5` in a zip | `config.json` |

use std::collections::BTreeSet;
use std::io::Cursor;

use zip::ZipArchive;

use super::hdf5::{self, Object};
use super::zip_entry::entry;
use super::{Budget, NamedTensors, keras_config};
use crate::checkpoint::readers::ReadError;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.weights.h5";

/// Whether it is a zip with Keras' weights.
pub(super) fn looks_like_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
        && ZipArchive::new(Cursor::new(bytes))
            .is_ok_and(|archive| archive.index_for_name(WEIGHTS).is_some())
}

/// Most levels of models inside models.
const DEEPEST: usize = 16;

pub(super) fn read_h5(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let root = hdf5::root(bytes, budget)?;
    let config = root.texts("model_config", budget)?;
    let whole = root.member("model_weights", budget)?;
    let weights = whole.as_ref().unwrap_or(&root);
    let mut named = NamedTensors::default();
    match layer_names(weights, "layer_names", budget)? {
        Some(layers) => attributed(weights, &layers, &mut named, budget)?,
        None => counted(weights, 0, &mut named, budget)?,
    }
    if let Some(&config) = config.as_deref().and_then(<[&str]>::first) {
        keras_config::apply(config, &mut named, budget)?;
    }
    Ok(named)
}

pub(super) fn read_zip(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| ReadError::malformed("zip directory", error))?;
    let config = entry(&mut archive, CONFIG, budget)?;
    let weights = entry(&mut archive, WEIGHTS, budget)?;
    let config =
        std::str::from_utf8(&config).map_err(|error| ReadError::malformed(CONFIG, error))?;
    let root = hdf5::root(&weights, budget)?;
    let mut named = NamedTensors::default();
    counted(&root, 0, &mut named, budget)?;
    keras_config::apply(config, &mut named, budget)?;
    Ok(named)
}

/// The names in an attribute. Keras splits long lists into `name0`, `name1`, ...
fn layer_names<'a>(
    object: &Object<'a>,
    attribute: &str,
    budget: &mut Budget,
) -> Result<Option<Vec<&'a str>>, ReadError> {
    if let Some(names) = object.texts(attribute, budget)? {
        return Ok(Some(names));
    }
    let mut all: Option<Vec<&str>> = None;
    for part in 0.. {
        match object.texts(&format!("{attribute}{part}"), budget)? {
            Some(names) => all.get_or_insert_default().extend(names),
            None => break,
        }
    }
    Ok(all)
}

/// Reads weights that attributes name: `layer_names` of the group, `weight_names` of each layer.
fn attributed(
    group: &Object<'_>,
    layers: &[&str],
    named: &mut NamedTensors,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    for layer in layers {
        let missing = |what: &str| ReadError::malformed(*layer, format!("the file has no {what}"));
        let object = group
            .member(layer, budget)?
            .ok_or_else(|| missing("such group"))?;
        let names = layer_names(&object, "weight_names", budget)?.unwrap_or_default();
        // A model inside the model has weights in several scopes, which are named as its layers.
        // All weights of a plain layer belong to that layer, whatever scope they were made in.
        let scopes: BTreeSet<&str> = names.iter().map(|name| scope(name).0).collect();
        for name in names {
            let (scope, variable) = scope(name);
            let owner = if scopes.len() > 1 { scope } else { layer };
            let dataset = object
                .member(name, budget)?
                .filter(Object::is_dataset)
                .ok_or_else(|| missing(&format!("dataset `{name}`")))?;
            let variable = variable.split(':').next().unwrap_or(variable);
            named.insert(format!("{owner}/{variable}"), dataset.tensor(budget)?)?;
        }
    }
    Ok(())
}

/// Layer and variable: the last two parts of a name.
fn scope(name: &str) -> (&str, &str) {
    match name.rsplit_once('/') {
        Some((scope, variable)) => (scope.rsplit('/').next().unwrap_or(scope), variable),
        None => ("", name),
    }
}

/// Reads numbered weights: of every group `vars` below this one.
fn counted(
    group: &Object<'_>,
    depth: usize,
    named: &mut NamedTensors,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    if depth > DEEPEST {
        return Err(ReadError::malformed("HDF5", "groups are nested too deeply"));
    }
    for (key, address) in group.members(budget)? {
        let child = group.at(key, address, budget)?;
        if child.is_dataset() {
            continue;
        }
        let vars = child.member("vars", budget)?;
        if let Some(vars) = vars.filter(|vars| !vars.is_dataset()) {
            let name = vars.texts("name", budget)?;
            let layer = name.as_deref().and_then(<[&str]>::first).unwrap_or(&key);
            for (index, address) in vars.members(budget)? {
                let dataset = vars.at(index, address, budget)?;
                if dataset.is_dataset() {
                    let tensor = dataset.tensor(budget)?;
                    named.insert(format!("{layer}/vars/{index}"), tensor)?;
                }
            }
        }
        // The child's own layers; for a dropout also its seed generator, which is no layer.
        if key != "vars" {
            counted(&child, depth + 1, named, budget)?;
        }
    }
    Ok(())
}
