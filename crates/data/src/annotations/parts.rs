//! Opens a folder of annotated photos as a part for training and one for evaluation.

use std::path::{Path, PathBuf};

use super::folder::{self, Unit, of_photos};
use super::photos::AnnotatedPhotos;
use super::read::Description;
use super::{coco, voc, yolo};
use crate::{DataError, Splits};

/// Names of the parts to evaluate on.
const TEST: [&str; 4] = ["test", "validation", "valid", "val"];

/// Without a part to evaluate on, one of this many photos is used for evaluation only.
const TEST_EVERY: usize = 5;

type Parts = (Description, Description, Unit);

/// Opens a folder in any of the formats.
///
/// * `train/` beside `test/`, `validation/`, `valid/` or `val/`, each a folder with photos and their
///   annotations;
/// * COCO's `annotations/instances_train*.json` and `instances_val*.json`;
/// * VOC's `ImageSets/Main/train.txt` (or `trainval.txt`) and `test.txt` or `val.txt`;
/// * YOLO's `images/train`, `labels/train`, `images/val`, `labels/val`;
/// * a folder without parts: photos 5, 10, 15, ... are for evaluation.
///
/// # Errors
/// If it is none of these, or a file cannot be read or does not follow its format.
pub fn open(dir: &Path) -> Result<Splits<AnnotatedPhotos>, DataError> {
    let (train, test, unit) = match in_parts(dir)? {
        Some(parts) => parts,
        None => {
            let (whole, unit) = whole(dir)?;
            let (train, test) = split(whole);
            (train, test, unit)
        }
    };
    let names = class_names(&[&train, &test]);
    if train.photos.is_empty() || test.photos.is_empty() {
        let message = format!(
            "{} has {} annotated photos for training and {} for evaluation",
            dir.display(),
            train.photos.len(),
            test.photos.len()
        );
        return Err(DataError::Settings(message));
    }
    Ok(Splits {
        train: AnnotatedPhotos::new(train, names.clone(), unit)?,
        test: AnnotatedPhotos::new(test, names, unit)?,
    })
}

/// Opens what is to be evaluated on: the part for that, or all photos of a folder without parts.
///
/// # Errors
/// As [`open`].
pub fn open_test(dir: &Path) -> Result<AnnotatedPhotos, DataError> {
    if let Some((train, test, unit)) = in_parts(dir)? {
        let names = class_names(&[&train, &test]);
        return AnnotatedPhotos::new(test, names, unit);
    }
    let (whole, unit) = whole(dir)?;
    let names = class_names(&[&whole]);
    AnnotatedPhotos::new(whole, names, unit)
}

fn whole(dir: &Path) -> Result<(Description, Unit), DataError> {
    folder::read(dir, None)?.ok_or_else(|| {
        let expected = "photos with VOC's .xml, COCO's .json or YOLO's .txt files";
        DataError::malformed(dir.display(), expected, "none")
    })
}

fn in_parts(dir: &Path) -> Result<Option<Parts>, DataError> {
    let is_dir = |path: &PathBuf| path.is_dir();
    let named = |base: &Path| TEST.iter().map(|name| base.join(name)).find(is_dir);
    // Folders of parts, each with its own files.
    if let (true, Some(test)) = (dir.join("train").is_dir(), named(dir)) {
        let names = yolo::class_names(dir)?;
        let read = |part: &Path| folder::read(part, names.as_deref());
        if let (Some((train, unit)), Some((test, _))) = (read(&dir.join("train"))?, read(&test)?) {
            return Ok(Some((train, test, unit)));
        }
    }
    let test = || TEST.iter().find_map(|name| coco::split(dir, name));
    if let (Some(train), Some(test)) = (coco::split(dir, "train"), test()) {
        let read = |(file, photos): (PathBuf, PathBuf)| coco::read(&file, &photos);
        return Ok(Some((read(train)?, read(test)?, Unit::Pixels)));
    }
    let set = |names: &[&str]| {
        let mut sets = names.iter().map(|name| voc::image_set(dir, name));
        sets.find_map(Result::transpose).transpose()
    };
    if let (Some(train), Some(test)) = (set(&["trainval", "train"])?, set(&TEST)?) {
        // A list for training may contain the one for evaluation.
        let train: Vec<String> = train
            .into_iter()
            .filter(|name| !test.contains(name))
            .collect();
        let read = |names: &[String]| Ok::<_, DataError>(of_photos(voc::read(dir, Some(names))?));
        return Ok(Some((read(&train)?, read(&test)?, Unit::Pixels)));
    }
    let folders = |part: &Path| {
        let name = part.file_name().unwrap_or_default();
        [part.to_path_buf(), dir.join("labels").join(name)]
    };
    let train = dir.join("images/train");
    if let (true, Some(test)) = (train.is_dir(), named(&dir.join("images"))) {
        let names = yolo::class_names(dir)?;
        let read = |part: &Path| {
            let photos = yolo::read(&folders(part), names.as_deref())?;
            Ok::<_, DataError>(Description {
                photos,
                classes: names.clone(),
            })
        };
        return Ok(Some((read(&train)?, read(&test)?, Unit::Shares)));
    }
    Ok(None)
}

fn split(whole: Description) -> (Description, Description) {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (position, photo) in whole.photos.into_iter().enumerate() {
        match (position + 1).is_multiple_of(TEST_EVERY) {
            true => test.push(photo),
            false => train.push(photo),
        }
    }
    let part = |photos| Description {
        photos,
        classes: whole.classes.clone(),
    };
    (part(train), part(test))
}

/// The names in the order of the format, if it has one; otherwise sorted, numbers by their value.
fn class_names(parts: &[&Description]) -> Vec<String> {
    if let Some(names) = parts.iter().find_map(|part| part.classes.clone()) {
        return names;
    }
    let photos = parts.iter().flat_map(|part| &part.photos);
    let objects = photos.flat_map(|photo| &photo.objects);
    let mut names: Vec<String> = objects.map(|object| object.class.clone()).collect();
    names.sort_by_key(|name| (name.parse::<usize>().unwrap_or(usize::MAX), name.clone()));
    names.dedup();
    names
}
