//! What the readers of all formats have in common: photos as they are described, and limits.

use std::path::{Path, PathBuf};

use crate::DataError;

/// Most bytes of a file about one photo.
const LARGEST_TEXT: u64 = 1 << 24;

/// A photo as a file describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) path: PathBuf,
    /// Rows and columns, if the file says them.
    pub(super) size: Option<[usize; 2]>,
    pub(super) objects: Vec<DescribedObject>,
}

/// An object as a file describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DescribedObject {
    /// Name of its class.
    pub(super) class: String,
    /// Top, left, bottom and right, in the unit of the format.
    pub(super) corners: [f64; 4],
    /// Pixels of the object, if they are known.
    pub(super) area: Option<f64>,
    /// Whether the box contains many objects.
    pub(super) crowd: bool,
    /// Whether the object is hard to recognise.
    pub(super) difficult: bool,
}

/// What a folder or file describes.
#[derive(Debug, Clone, Default)]
pub(super) struct Description {
    pub(super) photos: Vec<Described>,
    /// Names of all classes in their order, if the format says it.
    pub(super) classes: Option<Vec<String>>,
}

/// Reads a text file about one photo.
pub(super) fn text(path: &Path) -> Result<String, DataError> {
    let size = std::fs::metadata(path).map_err(DataError::read(path))?;
    if size.len() > LARGEST_TEXT {
        return Err(DataError::TooLarge {
            location: path.display().to_string(),
            needed: size.len(),
            limit: LARGEST_TEXT,
        });
    }
    std::fs::read_to_string(path).map_err(DataError::read(path))
}

/// Checks corners: finite, and not in reverse order.
pub(super) fn checked(location: impl ToString, corners: [f64; 4]) -> Result<[f64; 4], DataError> {
    let [top, left, bottom, right] = corners;
    let sound = corners.iter().all(|side| side.is_finite()) && top <= bottom && left <= right;
    match sound {
        true => Ok(corners),
        false => Err(DataError::malformed(
            location,
            "a box whose top left corner comes first",
            format!("rows {top} to {bottom}, columns {left} to {right}"),
        )),
    }
}

/// Content of a folder, sorted by name, without hidden entries.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let entry = entry.map_err(DataError::read(folder))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a path ends in this extension, in any case.
pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    let found = path.extension();
    found.is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
