//! `tidy`: checks invariants of the project that the compiler does not check.

mod circles;
mod graph;
mod imports;
mod known;
mod modules;
mod rules;
mod tokens;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mobilenet_cli::line;

use super::docs::root;

pub(crate) fn run() -> Result<()> {
    let files = files(&root())?;
    let mut problems = Vec::new();
    for (name, text) in &files {
        let found = rules::check(name, text).into_iter();
        problems.extend(found.map(|problem| format!("{name}: {problem}")));
    }
    let missing = |known: &&&str| files.iter().all(|(name, _)| name != **known);
    let moved = known::MENTIONS.iter().filter(missing);
    problems.extend(moved.map(|name| format!("{name} does not exist: delete the exception")));
    problems.extend(circles::check(&files, &known::IMPORTS));
    if !problems.is_empty() {
        bail!("{} problems\n  {}", problems.len(), problems.join("\n  "));
    }
    line(format!("{} files are tidy", files.len()))
}

fn files(root: &Path) -> Result<Vec<(String, String)>> {
    let mut paths = Vec::new();
    for folder in ["crates", "xtask", "benches"] {
        collect(&root.join(folder), &mut paths)?;
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root)?.to_string_lossy();
        let name = name.replace('\\', "/");
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        Ok((name, text))
    };
    paths.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_tidy() {
        run().unwrap();
    }
}
