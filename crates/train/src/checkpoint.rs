//! Checkpoints of a training: all of its state in one safetensors file, whole or not at all.
//!
//! ```text
//! NAME                        the parameter: the file is an ordinary file of weights, too
//! NAME.ExponentialMovingAverage
//! NAME.SLOT                   the optimiser's, of trainable parameters
//! metadata "training"         step, recipe, checksum of all values
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mobilenet_model::FlatLayout;
use mobilenet_model::checkpoint::{METADATA_KEY, Metadata};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::file::write_atomically;
use crate::moving_average::MovingAverage;
use crate::recipe::Recipe;
use crate::trainer::State;

/// Key of our entry in the file's metadata.
const KEY: &str = "training";

/// slim's name of averages.
const AVERAGE: &str = "ExponentialMovingAverage";

/// Largest checkpoint that is read: the largest published network with AdamW's slots and an
/// average takes 68 MB.
const LARGEST: u64 = 1 << 32;

#[derive(Serialize, Deserialize)]
struct Entry {
    step: u64,
    optimizer_steps: u64,
    recipe: Recipe,
    /// CRC-32C of all values in the order of the layout.
    checksum: u32,
}

/// The checkpoints of one training, in a folder of their own.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// Checkpoints in a folder, of which the newest `keep` (at least 1) stay.
    pub fn new(folder: PathBuf, keep: usize) -> Self {
        Self {
            folder,
            keep: keep.max(1),
        }
    }

    /// The files there are, newest first.
    ///
    /// # Errors
    /// Where the folder is there and cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>, TrainError> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(&self.folder).map_err(|e| read_error(&self.folder, e))?;
        let mut files: Vec<(u64, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                Some((step_of(&path)?, path))
            })
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    /// Saves a state, then removes what is too old.
    ///
    /// # Errors
    /// Where the file cannot be written; older ones are left as they are then.
    pub fn save(
        &self,
        state: &State,
        recipe: &Recipe,
        layout: &FlatLayout,
        network: &Metadata,
    ) -> Result<PathBuf, TrainError> {
        std::fs::create_dir_all(&self.folder).map_err(|error| TrainError::Write {
            path: self.folder.clone(),
            problem: error.to_string(),
        })?;
        let path = self
            .folder
            .join(format!("step-{:010}.safetensors", state.step));
        let bytes = to_bytes(state, recipe, layout, network, &path)?;
        write_atomically(&path, &bytes)?;
        for old in self.files()?.into_iter().skip(self.keep) {
            std::fs::remove_file(&old).map_err(|error| TrainError::Write {
                path: old.clone(),
                problem: format!("cannot remove it: {error}"),
            })?;
        }
        Ok(path)
    }

    /// The state of the newest good checkpoint, and what is wrong with newer ones; `None` where
    /// there is no checkpoint at all.
    ///
    /// # Errors
    /// Where there are checkpoints, but none is good; or where the newest good one is of another
    /// recipe.
    pub fn newest(
        &self,
        recipe: &Recipe,
        layout: &FlatLayout,
    ) -> Result<(Option<State>, Vec<TrainError>), TrainError> {
        let mut problems = Vec::new();
        for path in self.files()? {
            match load(&path, layout) {
                Ok((entry, vectors)) => {
                    if let Some(difference) = difference(&entry.recipe, recipe) {
                        return Err(TrainError::OtherRecipe { path, difference });
                    }
                    return Ok((Some(restore(entry, vectors, recipe, layout)?), problems));
                }
                Err(problem) => problems.push(problem),
            }
        }
        match problems.pop() {
            Some(problem) => Err(problem),
            None => Ok((None, problems)),
        }
    }
}

fn step_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    step.parse().ok()
}

fn read_error(path: &Path, error: impl std::fmt::Display) -> TrainError {
    TrainError::Read {
        path: path.to_path_buf(),
        problem: error.to_string(),
    }
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

fn to_bytes(
    state: &State,
    recipe: &Recipe,
    layout: &FlatLayout,
    network: &Metadata,
    path: &Path,
) -> Result<Vec<u8>, TrainError> {
    let failed = |problem: String| TrainError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let bytes: Vec<(&str, Vec<u8>)> = vectors(state)
        .into_iter()
        .map(|(suffix, values)| {
            (
                suffix,
                values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            )
        })
        .collect();
    let append = |sum, (_, bytes): &(_, Vec<u8>)| crc32c::crc32c_append(sum, bytes);
    let entry = Entry {
        step: state.step,
        optimizer_steps: state.optimizer.steps(),
        recipe: recipe.clone(),
        checksum: bytes.iter().fold(0, append),
    };
    let mut tensors = Vec::new();
    for (suffix, bytes) in &bytes {
        for (parameter, range) in layout.entries() {
            let name = tensor_name(&parameter.name(), suffix);
            let bytes = &bytes[4 * range.start..4 * range.end];
            let view = TensorView::new(Dtype::F32, parameter.shape.clone(), bytes);
            tensors.push((name, view.map_err(|error| failed(error.to_string()))?));
        }
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
type Vectors = Vec<(String, Vec<f32>)>;

fn load(path: &Path, layout: &FlatLayout) -> Result<(Entry, Vectors), TrainError> {
    let size = std::fs::metadata(path)
        .map_err(|e| read_error(path, e))?
        .len();
    if size > LARGEST {
        return Err(read_error(path, format!("{size} bytes, at most {LARGEST}")));
    }
    let bytes = std::fs::read(path).map_err(|e| read_error(path, e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| read_error(path, e))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| read_error(path, e))?;
    let entry = header
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(KEY));
    let entry = entry.ok_or_else(|| read_error(path, "no checkpoint of a training"))?;
    let entry: Entry = serde_json::from_str(entry).map_err(|e| read_error(path, e))?;
    let first = layout
        .entries()
        .first()
        .map(|(parameter, _)| parameter.name());
    let first = first.unwrap_or_default();
    let mut suffixes: Vec<String> = file
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix(&first))
        .map(|suffix| suffix.trim_start_matches('.').to_string())
        .collect();
    // Weights, average, then slots as the optimiser names them: the order of the checksum.
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
        let mut values = Vec::with_capacity(layout.len());
        for (parameter, range) in layout.entries() {
            let name = tensor_name(&parameter.name(), &suffix);
            let view = file.tensor(&name).map_err(|e| read_error(path, e))?;
            if view.dtype() != Dtype::F32 || view.shape() != parameter.shape {
                let problem = format!(
                    "{name}: expected f32 {:?}, found {:?} {:?}",
                    parameter.shape,
                    view.dtype(),
                    view.shape()
                );
                return Err(read_error(path, problem));
            }
            found = crc32c::crc32c_append(found, view.data());
            let (chunks, _) = view.data().as_chunks::<4>();
            values.extend(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)));
            debug_assert_eq!(values.len(), range.end);
        }
        vectors.push((suffix, values));
    }
    if found != entry.checksum {
        let expected = entry.checksum;
        let problem = format!("checksum {found:08x}, expected {expected:08x}: it is damaged");
        return Err(read_error(path, problem));
    }
    Ok((entry, vectors))
}

fn slot_names(entry: &Entry, layout: &FlatLayout) -> Result<Vec<String>, TrainError> {
    let state = State::new(&entry.recipe, layout, vec![0.0; layout.len()])?;
    let slots = state.optimizer.slots();
    Ok(slots.iter().map(|(name, _)| name.to_string()).collect())
}

fn restore(
    entry: Entry,
    vectors: Vectors,
    recipe: &Recipe,
    layout: &FlatLayout,
) -> Result<State, TrainError> {
    let (mut weights, mut average, mut slots) = (Vec::new(), None, Vec::new());
    for (suffix, values) in vectors {
        match suffix.as_str() {
            "" => weights = values,
            AVERAGE => average = Some(values),
            _ => slots.push((suffix, values)),
        }
    }
    let mut state = State::new(recipe, layout, weights)?;
    state.step = entry.step;
    if let (Some(config), Some(values)) = (recipe.moving_average, average) {
        state.average = Some(MovingAverage::new(config, values)?);
    }
    state.optimizer.restore(entry.optimizer_steps, slots)?;
    Ok(state)
}

/// The first setting in which two recipes differ. The number of steps may: a run can be prolonged.
fn difference(stored: &Recipe, given: &Recipe) -> Option<String> {
    let fields = |recipe: &Recipe| match serde_json::to_value(recipe) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (stored, given) = (fields(stored), fields(given));
    let differs = |(name, value): &(&String, &serde_json::Value)| {
        *name != "steps" && given.get(*name) != Some(*value)
    };
    stored.iter().find(differs).map(|(name, value)| {
        let now = given
            .get(name)
            .map_or("nothing".into(), ToString::to_string);
        format!("{name} was {value} and is now {now}")
    })
}
