//! Reads and writes raw results: a JSON file for each part in the folder of a machine.

use std::path::Path;

use anyhow::{Context, Result};
use mobilenet::model::file::write_atomically;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The stored results of a part; none if there is no file.
pub(super) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let failed = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(&path).with_context(failed)?;
    Ok(Some(serde_json::from_str(&text).with_context(failed)?))
}

pub(super) fn store<T: Serialize>(folder: &Path, name: &str, results: &T) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(results)? + "\n";
    write_atomically(&path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Milliseconds as they are stored: to a microsecond.
pub(super) fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}
