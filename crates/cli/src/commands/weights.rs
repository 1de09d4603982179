//! `weights`: fetches known weights, or lists them and whether they are cached.

use anyhow::Result;
use mobilenet::hub::{Cache, DETECTORS, fetch, fetch_detector, known};
use serde::Serialize;

use crate::args::Weights;
use crate::output;
use crate::progress::Terminal;

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    task: &'a str,
    description: &'a str,
    cached: bool,
    path: String,
}

const CLASSIFICATION: &str = "classification";
const DETECTION: &str = "detection";

pub(crate) fn run(arguments: &Weights) -> Result<()> {
    let cache = Cache::of_user()?;
    if let Some(name) = &arguments.name {
        let progress = &mut Terminal::default();
        let (task, path, description) = match DETECTORS.iter().find(|known| known.name == name) {
            Some(known) => (
                DETECTION,
                fetch_detector(known, &cache, progress)?,
                known.description.to_string(),
            ),
            None => {
                let (path, checkpoint) = fetch(name, &cache, progress)?;
                (CLASSIFICATION, path, checkpoint.metadata.source)
            }
        };
        let path = path.display().to_string();
        return if arguments.json {
            output::json(&Line {
                name,
                task,
                description: &description,
                cached: true,
                path,
            })
        } else {
            output::line(format!("{path}\n  {description}"))
        };
    }
    let classifiers = known().into_iter().map(|entry| {
        let path = cache.file(entry.name);
        (CLASSIFICATION, entry.name, entry.description, path)
    });
    let detectors = DETECTORS.iter();
    let detectors =
        detectors.map(|known| (DETECTION, known.name, known.description, known.file(&cache)));
    for (task, name, description, path) in classifiers.chain(detectors) {
        let line = Line {
            name,
            task,
            description,
            cached: path.exists(),
            path: path.display().to_string(),
        };
        if arguments.json {
            output::json(&line)?;
        } else {
            let state = if line.cached { "cached" } else { "not fetched" };
            output::line(format!("{name:<22} {task:<14} {state:<12} {description}"))?;
        }
    }
    if !arguments.json {
        output::line(format!(
            "cache: {} (MOBILENET_CACHE sets another folder)",
            cache.folder().display()
        ))?;
    }
    Ok(())
}
