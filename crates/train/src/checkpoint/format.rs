//! The format of a checkpoint.
//!
//! ```text
//! NAME                        a parameter, so the file is also an ordinary file of weights
//! NAME.ExponentialMovingAverage
//! NAME.SLOT                   a slot of the optimiser, for trainable parameters
//! activation_ranges           with fake quantisation: two averages per activation
//! metadata "training"         step, recipe, checksum of all values
//! ```

use std::collections::HashMap;
use std::path::Path;

use mobilenet_model::checkpoint::{METADATA_KEY, Metadata};
use mobilenet_model::little_endian::{bytes_of, values_of};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::layout::ParameterLayout;
use crate::moving_average::MovingAverage;
use crate::quantization::ActivationRanges;
use crate::recipe::Recipe;
use crate::trainer::State;

/// Key of our entry in the file's metadata.
const KEY: &str = "training";

/// slim's name for averages.
const AVERAGE: &str = "ExponentialMovingAverage";

/// The tensor with the ranges of the activations.
const RANGES: &str = "activation_ranges";

/// Largest checkpoint that is read, in bytes. The largest published network with AdamW's slots and
/// an average takes 68 MB.
const LARGEST: u64 = 1 << 32;

/// Content of a checkpoint besides its tensors.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    step: u64,
    optimizer_steps: u64,
    pub(super) recipe: Recipe,
    /// Steps in the ranges of the activations.
    #[serde(default)]
    ranges_steps: u64,
    /// CRC-32C of all values in the order of the layout.
    checksum: u32,
}

/// All vectors of a state, by the suffix of their tensors' names.
fn vectors(state: &State) -> Vec<(&str, &[f32])> {
    let mut vectors = vec![("", state.weights.as_slice())];
    if let Some(average) = &state.average {
        vectors.push((AVERAGE, average.values()));
    }
    vectors.extend(state.optimizer.slots());
    vectors
}

fn tensor_name(parameter: &str, suffix: &str) -> String {
    if suffix.is_empty() {
        parameter.to_string()
    } else {
        format!("{parameter}.{suffix}")
    }
}

/// The bytes of a checkpoint. `path` is used in errors.
pub(super) fn to_bytes(
    state: &State,
    recipe: &Recipe,
    layout: &dyn ParameterLayout,
    network: &Metadata,
    path: &Path,
) -> Result<Vec<u8>, TrainError> {
    let failed = |problem: String| TrainError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let bytes: Vec<(&str, Vec<u8>)> = vectors(state)
        .into_iter()
        .map(|(suffix, values)| (suffix, bytes_of(values)))
        .collect();
    let ranges = state.ranges.as_ref();
    let range_bytes = ranges.map(|ranges| bytes_of(&ranges.biased));
    let append = |sum, (_, bytes): &(_, Vec<u8>)| crc32c::crc32c_append(sum, bytes);
    let entry = Entry {
        step: state.step,
        optimizer_steps: state.optimizer.steps(),
        recipe: recipe.clone(),
        ranges_steps: ranges.map_or(0, |ranges| ranges.steps),
        checksum: crc32c::crc32c_append(
            bytes.iter().fold(0, append),
            range_bytes.as_deref().unwrap_or_default(),
        ),
    };
    let mut tensors = Vec::new();
    for (suffix, bytes) in &bytes {
        for place in layout.places() {
            let name = tensor_name(&place.name, suffix);
            let bytes = &bytes[4 * place.range.start..4 * place.range.end];
            let view = TensorView::new(Dtype::F32, place.shape, bytes);
            tensors.push((name, view.map_err(|error| failed(error.to_string()))?));
        }
    }
    if let Some(bytes) = &range_bytes {
        let view = TensorView::new(Dtype::F32, vec![bytes.len() / 8, 2], bytes);
        let view = view.map_err(|error| failed(error.to_string()))?;
        tensors.push((RANGES.to_string(), view));
    }
    let json = |value: Result<String, serde_json::Error>| value.map_err(|e| failed(e.to_string()));
    let metadata = HashMap::from([
        (KEY.to_string(), json(serde_json::to_string(&entry))?),
        (
            METADATA_KEY.to_string(),
            json(serde_json::to_string(network))?,
        ),
    ]);
    safetensors::serialize(tensors, Some(metadata)).map_err(|error| failed(error.to_string()))
}

/// Vectors by suffix.
pub(super) type Vectors = Vec<(String, Vec<f32>)>;

/// Reads a checkpoint.
pub(super) fn load(
    path: &Path,
    layout: &dyn ParameterLayout,
    network: &Metadata,
) -> Result<(Entry, Vectors), TrainError> {
    let size = std::fs::metadata(path)
        .map_err(TrainError::read(path))?
        .len();
    if size > LARGEST {
        return Err(TrainError::read(path)(format!(
            "{size} bytes, at most {LARGEST}"
        )));
    }
    let bytes = std::fs::read(path).map_err(TrainError::read(path))?;
    parse(&bytes, path, layout, network)
}

/// Reads the bytes of a checkpoint. `path` is used in errors.
pub(super) fn parse(
    bytes: &[u8],
    path: &Path,
    layout: &dyn ParameterLayout,
    network: &Metadata,
) -> Result<(Entry, Vectors), TrainError> {
    let file = SafeTensors::deserialize(bytes).map_err(TrainError::read(path))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(TrainError::read(path))?;
    let entry = |key: &str| {
        let entry = header.metadata().as_ref()?.get(key);
        entry.map(String::as_str)
    };
    if let Some(stored) = entry(METADATA_KEY) {
        let stored: Metadata = serde_json::from_str(stored).map_err(TrainError::read(path))?;
        let (was, now) = (stored.network, network.network);
        if was != now {
            return Err(TrainError::OtherRecipe {
                path: path.to_path_buf(),
                difference: format!("network was {was} and is now {now}"),
            });
        }
    }
    let entry = entry(KEY).ok_or_else(|| TrainError::read(path)("no checkpoint of a training"))?;
    let entry: Entry = serde_json::from_str(entry).map_err(TrainError::read(path))?;
    let places = layout.places();
    let first = places.first().map(|place| place.name.as_str());
    let first = first.unwrap_or_default();
    let mut suffixes: Vec<String> = file
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix(first))
        .map(|suffix| suffix.trim_start_matches('.').to_string())
        .collect();
    // Weights, average, then slots in the optimiser's order, which is the order of the checksum.
    let slots = slot_names(&entry, layout)?;
    let rank = |suffix: &str| match suffix {
        "" => 0,
        AVERAGE => 1,
        slot => {
            2 + slots
                .iter()
                .position(|name| name == slot)
                .unwrap_or(slots.len())
        }
    };
    suffixes.sort_by_key(|suffix| rank(suffix));
    let (mut vectors, mut found) = (Vec::new(), 0);
    for suffix in suffixes {
        let mut values = Vec::with_capacity(layout.values());
        for place in &places {
            let name = tensor_name(&place.name, &suffix);
            let view = file.tensor(&name).map_err(TrainError::read(path))?;
            if view.dtype() != Dtype::F32 || view.shape() != place.shape {
                let problem = format!(
                    "{name}: expected f32 {:?}, found {:?} {:?}",
                    place.shape,
                    view.dtype(),
                    view.shape()
                );
                return Err(TrainError::read(path)(problem));
            }
            found = crc32c::crc32c_append(found, view.data());
            values.extend(values_of::<f32>(view.data()));
            debug_assert_eq!(values.len(), place.range.end);
        }
        vectors.push((suffix, values));
    }
    if entry.recipe.quantization.is_some() {
        let view = file.tensor(RANGES).map_err(TrainError::read(path))?;
        let expected = ActivationRanges::new(layout).biased.len();
        if view.dtype() != Dtype::F32 || view.shape() != [expected / 2, 2] {
            let found = (view.dtype(), view.shape());
            let problem = format!(
                "{RANGES}: expected f32 [{}, 2], found {found:?}",
                expected / 2
            );
            return Err(TrainError::read(path)(problem));
        }
        found = crc32c::crc32c_append(found, view.data());
        vectors.push((RANGES.to_string(), values_of(view.data())));
    }
    if found != entry.checksum {
        let expected = entry.checksum;
        let problem = format!("checksum {found:08x}, expected {expected:08x}: it is damaged");
        return Err(TrainError::read(path)(problem));
    }
    Ok((entry, vectors))
}

fn slot_names(entry: &Entry, layout: &dyn ParameterLayout) -> Result<Vec<String>, TrainError> {
    let state = State::new(&entry.recipe, layout, vec![0.0; layout.values()])?;
    let slots = state.optimizer.slots();
    Ok(slots.iter().map(|(name, _)| name.to_string()).collect())
}

/// Restores the state of a checkpoint.
pub(super) fn restore(
    entry: Entry,
    vectors: Vectors,
    recipe: &Recipe,
    layout: &dyn ParameterLayout,
) -> Result<State, TrainError> {
    let (mut weights, mut average, mut slots) = (Vec::new(), None, Vec::new());
    let mut ranges = None;
    for (suffix, values) in vectors {
        match suffix.as_str() {
            "" => weights = values,
            AVERAGE => average = Some(values),
            RANGES => ranges = Some(values),
            _ => slots.push((suffix, values)),
        }
    }
    let mut state = State::new(recipe, layout, weights)?;
    state.step = entry.step;
    if let (Some(config), Some(values)) = (recipe.moving_average, average) {
        state.average = Some(MovingAverage::new(config, values)?);
    }
    if let (Some(state), Some(biased)) = (&mut state.ranges, ranges) {
        *state = ActivationRanges {
            steps: entry.ranges_steps,
            biased,
        };
    }
    state.optimizer.restore(entry.optimizer_steps, slots)?;
    Ok(state)
}
