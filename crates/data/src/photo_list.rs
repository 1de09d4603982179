//! A folder of photos, and a file with one class index per line, in the order of the photos' names.
//! Validation sets are often published so.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::image_folder::photos;
use super::{DataError, ImageFiles, MOST_CLASSES, numbered};

/// Longest list that is read, in bytes.
const LIST_BYTES: u64 = 256 << 20;

/// Opens the photos of `dir`. The n-th photo by name has the class on line n of `labels`. Classes
/// are `class_names` if given, otherwise the numbers from `0` to the highest index.
///
/// # Errors
/// If a file cannot be read, a line is not a class index, or the numbers of photos and lines
/// differ.
pub fn open(
    dir: &Path,
    labels: &Path,
    class_names: Option<&[String]>,
) -> Result<ImageFiles, DataError> {
    let photos = photos(dir)?;
    let text = read_text(labels)?;
    let mut classes = Vec::new();
    for (number, line) in (1..).zip(text.trim_end().lines()) {
        let class = line.trim().parse::<usize>().map_err(|_| {
            let location = format!("{}, line {number}", labels.display());
            DataError::malformed(location, "a class index", format!("`{line}`"))
        })?;
        classes.push(class);
    }
    if photos.is_empty() || photos.len() != classes.len() {
        return Err(DataError::malformed(
            labels.display(),
            format!(
                "a line for each of the {} photos in {}",
                photos.len(),
                dir.display()
            ),
            format!("{} lines", classes.len()),
        ));
    }
    let names = match class_names {
        Some(names) => names.to_vec(),
        None => numbered(highest(labels, &classes)? + 1),
    };
    ImageFiles::new(photos.into_iter().zip(classes).collect(), names)
}

/// The highest class index of a list. An unreasonably high one is an error.
pub(super) fn highest(list: &Path, classes: &[usize]) -> Result<usize, DataError> {
    let highest = classes.iter().copied().max().unwrap_or(0);
    if highest >= MOST_CLASSES {
        let expected = format!("class indices below {MOST_CLASSES}");
        return Err(DataError::malformed(list.display(), expected, highest));
    }
    Ok(highest)
}

/// Reads a list of a limited size.
pub(super) fn read_text(path: &Path) -> Result<String, DataError> {
    let mut text = String::new();
    let length = File::open(path)
        .and_then(|file| file.take(LIST_BYTES + 1).read_to_string(&mut text))
        .map_err(DataError::read(path))?;
    if length as u64 > LIST_BYTES {
        return Err(DataError::TooLarge {
            location: path.display().to_string(),
            needed: length as u64,
            limit: LIST_BYTES,
        });
    }
    Ok(text)
}
