//! Finds the file to read for a path that a user gives.

use std::path::{Component, Path, PathBuf};

use super::error::CheckpointError;
use super::readers::Folder;

/// Names of weights in a folder, best first.
const IN_FOLDER: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "saved_model.pb",
    STATE,
    "model.json",
];

/// The file in which TensorFlow names its latest checkpoint.
const STATE: &str = "checkpoint";

/// Far more than such a file takes.
const MOST_STATE_BYTES: u64 = 1 << 20;

/// Whether the path may be that of weights: a file, a folder, or a TensorFlow checkpoint's prefix.
pub fn exists(path: &Path) -> bool {
    path.exists() || with_suffix(path, ".index").is_file()
}

/// The file to read for a path. For a folder it is the weights inside. For a TensorFlow checkpoint,
/// given by its prefix (`model.ckpt-7`) or a data file, it is the index.
pub(super) fn locate(path: &Path) -> Result<PathBuf, CheckpointError> {
    if path.is_dir() {
        let file = IN_FOLDER
            .iter()
            .map(|name| path.join(name))
            .find(|file| file.is_file())
            .ok_or_else(|| CheckpointError::EmptyFolder {
                path: path.to_path_buf(),
                expected: IN_FOLDER.join(", "),
            })?;
        return if file.ends_with(STATE) {
            latest(&file)
        } else {
            Ok(file)
        };
    }
    let name = path.to_string_lossy();
    if let Some((prefix, _)) = name.rsplit_once(".data-") {
        let index = with_suffix(Path::new(prefix), ".index");
        if index.is_file() {
            return Ok(index);
        }
    }
    let index = with_suffix(path, ".index");
    if !path.exists() && index.is_file() {
        return Ok(index);
    }
    Ok(path.to_path_buf())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The checkpoint that a state file names: `model_checkpoint_path: "model.ckpt-7"`. Only the file
/// name is used, because an absolute path is that of the machine that wrote it.
fn latest(state: &Path) -> Result<PathBuf, CheckpointError> {
    let folder = state.parent().unwrap_or(Path::new("")).to_path_buf();
    let text = folder
        .read(STATE, MOST_STATE_BYTES)
        .map_err(|source| CheckpointError::Io {
            path: state.to_path_buf(),
            source,
        })?;
    let text = String::from_utf8_lossy(&text);
    let named = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("model_checkpoint_path:"))
        .map(|value| PathBuf::from(value.trim().trim_matches('"')))
        .and_then(|path| {
            let inside = path
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            let name = path.file_name().map(PathBuf::from);
            if inside { Some(path) } else { name }
        })
        .ok_or_else(|| CheckpointError::Metadata {
            path: state.to_path_buf(),
            key: "model_checkpoint_path".to_string(),
            problem: "the file does not name a checkpoint".to_string(),
        })?;
    locate(&folder.join(named))
}
