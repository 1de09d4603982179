//! What of the folder `web` belongs to page and package, and the list of models that the page offers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::converted::Converted;

/// Endings of the files of page and package. Tests stay behind.
const ENDINGS: [&str; 6] = ["js", "ts", "json", "html", "css", "svg"];

/// Names of the files that are copied.
pub(super) fn copied(folder: &Path) -> Result<Vec<String>> {
    let context = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let name = path.file_name().and_then(|name| name.to_str());
        if let (Some(name), Some(ending)) = (name, ending)
            && ENDINGS.contains(&ending)
        {
            names.push(name.to_string());
        }
    }
    names.sort();
    Ok(names)
}

/// The list of models, `models.json`.
pub(super) fn models(offered: &[Converted]) -> Result<Vec<u8>> {
    let models = offered.iter().map(|converted| {
        json!({
            "name": converted.name,
            "precision": converted.precision,
            "file": format!("weights/{}", converted.file()),
            "bytes": converted.bytes.len(),
            "size": converted.size,
            "classes": converted.classes,
            "detects": converted.detects,
            "drawing": converted.name == "fashion_mnist",
        })
    });
    let models: Vec<_> = models.collect();
    Ok(serde_json::to_vec_pretty(&json!({ "models": models }))?)
}
