//! Checkpoints of a training: the whole state in one safetensors file, written atomically.

mod format;

use std::path::{Path, PathBuf};

use mobilenet_model::checkpoint::Metadata;

use crate::error::TrainError;
use crate::file::write_atomically;
use crate::layout::ParameterLayout;
use crate::parallel::{Communicator, broadcast};
use crate::recipe::Recipe;
use crate::trainer::State;
use format::{load, parse, restore, to_bytes};

/// The checkpoints of one training, in their own folder.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// Checkpoints in a folder. The newest `keep` (at least 1) are kept.
    pub fn new(folder: PathBuf, keep: usize) -> Self {
        Self {
            folder,
            keep: keep.max(1),
        }
    }

    /// The existing files, newest first.
    ///
    /// # Errors
    /// If the folder exists, but cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>, TrainError> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(&self.folder).map_err(TrainError::read(&self.folder))?;
        let mut files: Vec<(u64, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                Some((step_of(&path)?, path))
            })
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    /// Saves a state, then deletes old checkpoints.
    ///
    /// # Errors
    /// If the file cannot be written. Old checkpoints are then kept.
    pub fn save(
        &self,
        state: &State,
        recipe: &Recipe,
        layout: &dyn ParameterLayout,
        network: &Metadata,
    ) -> Result<PathBuf, TrainError> {
        std::fs::create_dir_all(&self.folder).map_err(TrainError::write(&self.folder))?;
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

    /// The state of the newest good checkpoint, and the errors of newer ones. `None` if there is no
    /// checkpoint at all.
    ///
    /// # Errors
    /// If there are checkpoints, but none is good, or the newest good one has another recipe or
    /// network.
    pub fn newest(
        &self,
        recipe: &Recipe,
        layout: &dyn ParameterLayout,
        network: &Metadata,
    ) -> Result<(Option<State>, Vec<TrainError>), TrainError> {
        let mut problems = Vec::new();
        for path in self.files()? {
            match load(&path, layout, network) {
                Ok((entry, vectors)) => {
                    if let Some(difference) = difference(&entry.recipe, recipe) {
                        return Err(TrainError::OtherRecipe { path, difference });
                    }
                    return Ok((Some(restore(entry, vectors, recipe, layout)?), problems));
                }
                Err(other @ TrainError::OtherRecipe { .. }) => return Err(other),
                Err(problem) => problems.push(problem),
            }
        }
        match problems.pop() {
            Some(problem) => Err(problem),
            None => Ok((None, problems)),
        }
    }
}

/// Gives every rank the state of rank 0, as the bytes of a checkpoint. Other ranks need give none.
///
/// # Errors
/// If a rank cannot be reached.
pub fn broadcast_state(
    communicator: &mut dyn Communicator,
    state: Option<State>,
    recipe: &Recipe,
    layout: &dyn ParameterLayout,
    network: &Metadata,
) -> Result<State, TrainError> {
    let path = Path::new("the state of rank 0");
    if communicator.ranks() == 1
        && let Some(state) = state
    {
        return Ok(state);
    }
    let mut bytes = match &state {
        Some(state) => to_bytes(state, recipe, layout, network, path)?,
        None => Vec::new(),
    };
    broadcast(communicator, &mut bytes)?;
    match state {
        Some(state) => Ok(state),
        None => {
            let (entry, vectors) = parse(&bytes, path, layout, network)?;
            restore(entry, vectors, recipe, layout)
        }
    }
}

fn step_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    step.parse().ok()
}

/// The first setting in which two recipes differ. The number of steps may differ, so that a run can
/// be prolonged.
fn difference(stored: &Recipe, given: &Recipe) -> Option<String> {
    let fields = |recipe: &Recipe| match serde_json::to_value(recipe) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    // Numbers that were read from JSON may differ in their last bit. Then those given do, too.
    let text = serde_json::to_string(given);
    let read = text.and_then(|text| serde_json::from_str::<Recipe>(&text));
    let given = read.as_ref().unwrap_or(given);
    let (stored, given) = (fields(stored), fields(given));
    let value = |fields: &serde_json::Map<_, _>, name: &str| match fields.get(name) {
        Some(value) => serde_json::Value::to_string(value),
        None => "nothing".to_string(),
    };
    let mut names = stored.keys().chain(given.keys());
    let name = names.find(|name| *name != "steps" && stored.get(*name) != given.get(*name))?;
    let (was, now) = (value(&stored, name), value(&given, name));
    Some(format!("{name} was {was} and is now {now}"))
}
