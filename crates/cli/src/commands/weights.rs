//! `weights`: fetches known weights, or lists them and whether they are cached.

use anyhow::Result;
use mobilenet::hub::{Cache, fetch, known};
use serde::Serialize;

use crate::args::Weights;
use crate::output;
use crate::progress::Terminal;

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    description: &'a str,
    cached: bool,
    path: String,
}

pub(crate) fn run(arguments: &Weights) -> Result<()> {
    let cache = Cache::of_user()?;
    if let Some(name) = &arguments.name {
        let (path, checkpoint) = fetch(name, &cache, &mut Terminal::default())?;
        let (path, description) = (path.display().to_string(), checkpoint.metadata.source);
        return if arguments.json {
            output::json(&Line {
                name,
                description: &description,
                cached: true,
                path,
            })
        } else {
            output::line(format!("{path}\n  {description}"))
        };
    }
    for entry in known() {
        let path = cache.file(entry.name);
        let line = Line {
            name: entry.name,
            description: entry.description,
            cached: path.exists(),
            path: path.display().to_string(),
        };
        if arguments.json {
            output::json(&line)?;
        } else {
            let state = if line.cached { "cached" } else { "not fetched" };
            output::line(format!(
                "{:<22} {state:<12} {}",
                line.name, line.description
            ))?;
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
