//! A folder of class folders with photos. The class index is the position of a folder's name among
//! the sorted names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mobilenet_photos::has_photo_ending;

use super::{DataError, ImageDataset, ImageFiles, Splits};

/// Names of the folder to evaluate on, beside `train`.
pub const TEST_FOLDERS: [&str; 3] = ["test", "validation", "val"];

/// Without a test folder, one of this many photos is used for evaluation only.
const TEST_EVERY: usize = 5;

/// Opens a folder as a part for training and one for evaluation.
///
/// * With `train/` and one of `test/`, `validation/` and `val/`, each with class folders: these.
/// * Otherwise the class folders are those of `dir` or of `train/`. In each class, photos 5, 10,
///   15, ... in the order of their names are for evaluation.
///
/// Hidden files, folders inside class folders, and files without a photo's extension are ignored.
///
/// # Errors
/// If a folder cannot be read, has no class folders, a class has no photos, or the test part has a
/// class that the training part lacks.
pub fn open(dir: &Path) -> Result<Splits<ImageFiles>, DataError> {
    let train = dir.join("train");
    let root = if train.is_dir() { &train } else { dir };
    let classes = read_classes(root)?;
    let names: Vec<String> = classes.keys().cloned().collect();
    let test = TEST_FOLDERS
        .iter()
        .map(|name| dir.join(name))
        .find(|path| train.is_dir() && path.is_dir());
    let Some(test) = test else {
        return split(classes, names);
    };
    Ok(Splits {
        train: with_classes(root, classes, &names)?,
        test: with_classes(&test, read_classes(&test)?, &names)?,
    })
}

/// Opens a folder of class folders as one part, for example for evaluation.
///
/// # Errors
/// As [`open()`].
pub fn open_whole(dir: &Path) -> Result<ImageFiles, DataError> {
    let classes = read_classes(dir)?;
    let names: Vec<String> = classes.keys().cloned().collect();
    with_classes(dir, classes, &names)
}

/// Photos in the order of their names, by class.
type Classes = BTreeMap<String, Vec<PathBuf>>;

fn read_classes(dir: &Path) -> Result<Classes, DataError> {
    let mut classes = Classes::new();
    for folder in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        let photos = photos(&folder)?;
        if photos.is_empty() {
            return Err(DataError::malformed(folder.display(), "photos", "none"));
        }
        classes.insert(file_name(&folder), photos);
    }
    if classes.is_empty() {
        let expected = "folders of photos, one for each class";
        return Err(DataError::malformed(dir.display(), expected, "none"));
    }
    Ok(classes)
}

/// The photos directly in a folder, sorted by name.
pub(super) fn photos(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let is_photo = |path: &PathBuf| has_photo_ending(path) && path.is_file();
    Ok(entries(dir)?.into_iter().filter(is_photo).collect())
}

/// Content of a folder, sorted by name, without hidden entries.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(DataError::read(dir))? {
        let path = entry.map_err(DataError::read(dir))?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn with_classes(dir: &Path, classes: Classes, names: &[String]) -> Result<ImageFiles, DataError> {
    let mut files = Vec::new();
    for (name, photos) in classes {
        let class = names.binary_search(&name).map_err(|_| {
            let expected = format!("one of the {} classes of training", names.len());
            DataError::malformed(dir.display(), expected, format!("the folder {name}"))
        })?;
        files.extend(photos.into_iter().map(|path| (path, class)));
    }
    ImageFiles::new(files, names.to_vec())
}

fn split(classes: Classes, names: Vec<String>) -> Result<Splits<ImageFiles>, DataError> {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (class, photos) in classes.into_values().enumerate() {
        for (position, path) in photos.into_iter().enumerate() {
            let part = if (position + 1) % TEST_EVERY == 0 {
                &mut test
            } else {
                &mut train
            };
            part.push((path, class));
        }
    }
    let splits = Splits {
        train: ImageFiles::new(train, names.clone())?,
        test: ImageFiles::new(test, names)?,
    };
    if splits.test.is_empty() {
        let message =
            format!("no class has the {TEST_EVERY} photos that a split needs; add a folder `test`");
        return Err(DataError::Settings(message));
    }
    Ok(splits)
}
