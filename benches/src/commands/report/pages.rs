//! All generated files: the overview, and those of each machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::stored::Stored;
use super::{busy, detection, first_answer, integers, markdown, overview, plots, training};

/// Paths and texts of the files below a folder, from the raw results there.
pub(super) fn all(out: &Path) -> Result<Vec<(PathBuf, String)>> {
    let failed = || format!("cannot read {}", out.display());
    let mut machines = Vec::new();
    for entry in std::fs::read_dir(out).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let stored = Stored::read(&entry.path())?;
        if stored.machine().is_some() {
            machines.push((entry.file_name().to_string_lossy().into_owned(), stored));
        }
    }
    machines.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut files = vec![(out.join("README.md"), overview::page(&machines)?)];
    for (folder, stored) in &machines {
        let texts = of_machine(stored)?.into_iter();
        files.extend(texts.map(|(name, text)| (out.join(folder).join(name), text)));
    }
    Ok(files)
}

fn of_machine(stored: &Stored) -> Result<Vec<(String, String)>> {
    let mut files = vec![("README.md".to_string(), markdown::page(stored)?)];
    let mut add = |name: &str, page| files.push((name.to_string(), page));
    if let Some(training) = &stored.training {
        add("training.md", training::page(training)?);
    }
    if let Some(integers) = &stored.integers {
        add("integers.md", integers::page(integers)?);
    }
    if let Some(detection) = &stored.detection {
        add("detection.md", detection::page(detection)?);
    }
    if let Some(busy) = &stored.busy {
        add("busy.md", busy::page(busy)?);
    }
    if let Some(first_answer) = &stored.first_answer {
        add("first-answer.md", first_answer::page(first_answer)?);
    }
    if let Some(results) = &stored.results {
        files.extend(plots::all(results));
    }
    Ok(files)
}
