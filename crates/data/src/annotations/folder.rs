//! One folder of photos and annotations: finds out which format it has.

use std::path::Path;

use super::read::Description;
use super::{coco, voc, yolo};
use crate::DataError;

/// Where coordinates are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Pixels,
    /// From 0 to 1 of the photo's sides.
    Shares,
}

/// Reads a folder in any format. `names` are YOLO's names of classes.
pub(super) fn read(
    folder: &Path,
    names: Option<&[String]>,
) -> Result<Option<(Description, Unit)>, DataError> {
    if voc::annotations(folder).is_some() {
        let photos = voc::read(folder, None)?;
        return Ok(Some((of_photos(photos), Unit::Pixels)));
    }
    if let Some(file) = coco::annotations(folder) {
        return Ok(Some((coco::read(&file, folder)?, Unit::Pixels)));
    }
    let Some(folders) = yolo::folders(folder) else {
        return Ok(None);
    };
    let own = match names {
        Some(names) => Some(names.to_vec()),
        None => yolo::class_names(folder)?,
    };
    let photos = yolo::read(&folders, own.as_deref())?;
    let description = Description {
        photos,
        classes: own,
    };
    Ok(Some((description, Unit::Shares)))
}

/// Photos whose format does not say the order of the classes.
pub(super) fn of_photos(photos: Vec<super::read::Described>) -> Description {
    Description {
        photos,
        classes: None,
    }
}
