//! Photos on the command line: files, and folders with all that is in them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mobilenet::train::data::image_folder::ENDINGS;

/// The files among `paths` as they are, and the photos in folders, by name. Hidden entries and links
/// to folders, which may lead in circles, are passed over.
pub(crate) fn photo_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut photos = Vec::new();
    for path in paths {
        if !path.is_dir() {
            photos.push(path.clone());
            continue;
        }
        let before = photos.len();
        add_folder(path, &mut photos)?;
        if photos.len() == before {
            bail!("{} has no photos ({})", path.display(), ENDINGS.join(", "));
        }
    }
    Ok(photos)
}

fn add_folder(folder: &Path, photos: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot read {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(unreadable)?;
    let entries: Result<Vec<_>, _> = entries.collect();
    let mut entries = entries.with_context(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let is_folder = entry.file_type().with_context(unreadable)?.is_dir();
        if hidden {
            continue;
        }
        if is_folder {
            add_folder(&path, photos)?;
        } else if is_photo(&path) && path.is_file() {
            photos.push(path);
        }
    }
    Ok(())
}

fn is_photo(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}
