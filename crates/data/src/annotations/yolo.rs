//! YOLO's text format: a file for each photo, a line for each object.
//!
//! ```text
//! CLASS CENTRE_X CENTRE_Y WIDTH HEIGHT                   from 0 to 1 of the photo's sides
//!
//! FOLDER/images/NAME.jpg, FOLDER/labels/NAME.txt         or both files in FOLDER itself
//! FOLDER/images/SPLIT/NAME.jpg, FOLDER/labels/SPLIT/NAME.txt
//! ```
//!
//! Names of classes are in `data.yaml` (`names`), `classes.txt` or `obj.names`. A photo without a text
//! file has no objects.

use std::path::{Path, PathBuf};

use mobilenet_photos::has_photo_ending;

use super::read::{Described, DescribedObject, checked, entries, has_extension, text};
use crate::{DataError, MOST_CLASSES};

/// Files with a name on each line.
const NAMES: [&str; 3] = ["classes.txt", "obj.names", "labels.txt"];

/// Folders of photos and of their text files.
pub(super) fn folders(folder: &Path) -> Option<[PathBuf; 2]> {
    let beside = ["images", "labels"].map(|name| folder.join(name));
    let own = [folder.to_path_buf(), folder.to_path_buf()];
    [beside, own].into_iter().find(|[photos, texts]| {
        let photo = |path: &PathBuf| has_photo_ending(path);
        photos.is_dir()
            && texts.is_dir()
            && entries(photos).unwrap_or_default().iter().any(photo)
            && has_objects(texts)
    })
}

/// Whether a folder has text files besides the names of classes.
fn has_objects(folder: &Path) -> bool {
    let paths = entries(folder).unwrap_or_default();
    let mut paths = paths.iter();
    paths.any(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        has_extension(path, "txt") && !NAMES.contains(&name.as_ref())
    })
}

/// Reads the photos of a folder with their text files. `names` are those of the classes.
pub(super) fn read(
    [photos, texts]: &[PathBuf; 2],
    names: Option<&[String]>,
) -> Result<Vec<Described>, DataError> {
    let paths = entries(photos)?.into_iter();
    let paths = paths.filter(|path| has_photo_ending(path) && path.is_file());
    let photo = |path: PathBuf| {
        let name = PathBuf::from(path.file_stem().unwrap_or_default());
        let file = texts.join(format!("{}.txt", name.display()));
        let objects = match file.is_file() {
            true => objects(&file, names)?,
            false => Vec::new(),
        };
        Ok(Described {
            path,
            size: None,
            objects,
        })
    };
    paths.map(photo).collect()
}

fn objects(file: &Path, names: Option<&[String]>) -> Result<Vec<DescribedObject>, DataError> {
    let text = text(file)?;
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let object = |(number, line): (usize, &str)| {
        let place = || format!("{}, line {number}", file.display());
        let malformed = || {
            let expected = "a class and four numbers: centre x and y, width, height";
            DataError::malformed(place(), expected, format!("`{line}`"))
        };
        let mut words = line.split_whitespace();
        let class = words.next().and_then(|word| word.parse::<usize>().ok());
        let class = class
            .filter(|&class| class < MOST_CLASSES)
            .ok_or_else(malformed)?;
        let numbers: Option<Vec<f64>> = words.map(|word| word.parse().ok()).collect();
        let Some(&[x, y, width, height]) = numbers.as_deref() else {
            return Err(malformed());
        };
        let class = match names {
            None => class.to_string(),
            Some(names) => names.get(class).cloned().ok_or_else(|| {
                let expected = format!("a class below {}", names.len());
                DataError::malformed(place(), expected, class)
            })?,
        };
        let corners = [
            y - height / 2.0,
            x - width / 2.0,
            y + height / 2.0,
            x + width / 2.0,
        ];
        Ok(DescribedObject {
            class,
            corners: checked(place(), corners)?,
            area: None,
            crowd: false,
            difficult: false,
        })
    };
    lines.map(object).collect()
}

/// The names of the classes, from a file of the data set's folder.
pub(super) fn class_names(folder: &Path) -> Result<Option<Vec<String>>, DataError> {
    for name in ["data.yaml", "dataset.yaml", "data.yml"] {
        let path = folder.join(name);
        if path.is_file() {
            return yaml_names(&path).map(Some);
        }
    }
    for folder in [folder.to_path_buf(), folder.join("labels")] {
        for name in NAMES {
            let path = folder.join(name);
            if path.is_file() {
                let text = text(&path)?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                return Ok(Some(lines.map(str::to_string).collect()));
            }
        }
    }
    Ok(None)
}

/// `names:` of a YAML file, in the three forms that are in use: `[a, b]`, lines `- a`, lines `0: a`.
fn yaml_names(path: &Path) -> Result<Vec<String>, DataError> {
    let text = text(path)?;
    let unquoted = |name: &str| name.trim().trim_matches(['\'', '"']).to_string();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("names:"));
    let first = lines.next().and_then(|line| line.split_once(':'));
    let first = first.map(|(_, rest)| rest.trim()).unwrap_or_default();
    let names: Vec<String> = match first
        .strip_prefix('[')
        .and_then(|list| list.strip_suffix(']'))
    {
        Some(list) => list.split(',').map(unquoted).collect(),
        None => {
            let lines = lines.map(str::trim).filter(|line| !line.is_empty());
            let names = lines.map_while(|line| match line.strip_prefix('-') {
                Some(name) => Some(unquoted(name)),
                None => {
                    let (number, name) = line.split_once(':')?;
                    number.trim().parse::<usize>().ok()?;
                    Some(unquoted(name))
                }
            });
            names.collect()
        }
    };
    match names.is_empty() || names.iter().any(String::is_empty) {
        false => Ok(names),
        true => Err(DataError::malformed(
            path.display(),
            "`names:` with a list of the classes",
            "none",
        )),
    }
}
