//! COCO: one JSON file that describes all photos of a folder.
//!
//! ```text
//! FOLDER/annotations.json, FOLDER/_annotations.coco.json     photos in FOLDER or FOLDER/images
//! FOLDER/annotations/instances_SPLIT2017.json                photos in FOLDER/SPLIT2017
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::read::{Described, DescribedObject, Description, checked, entries, has_extension};
use crate::DataError;

/// Most bytes of a file: twice those of COCO's own for training. Outlines of objects are not kept.
const LARGEST: u64 = 1 << 30;

#[derive(Deserialize)]
struct Content {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    height: Option<usize>,
    width: Option<usize>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    /// Left, top, width and height.
    bbox: [f64; 4],
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// The JSON file about a folder's photos, if there is one.
pub(super) fn annotations(folder: &Path) -> Option<PathBuf> {
    let paths = entries(folder).unwrap_or_default();
    paths.into_iter().find(|path| has_extension(path, "json"))
}

/// The JSON files of `FOLDER/annotations` whose names begin so, with the folder of their photos.
pub(super) fn split(folder: &Path, split: &str) -> Option<(PathBuf, PathBuf)> {
    let paths = entries(&folder.join("annotations")).unwrap_or_default();
    let mut paths = paths.into_iter().filter(|path| has_extension(path, "json"));
    paths.find_map(|path| {
        let stem = path.file_stem()?.to_str()?;
        let name = stem.strip_prefix("instances_").unwrap_or(stem);
        let photos = [
            folder.join(name),
            folder.join("images").join(name),
            folder.join("images"),
        ];
        let photos = photos.into_iter().find(|photos| photos.is_dir())?;
        name.starts_with(split).then_some((path, photos))
    })
}

/// Reads a file whose photos are in `photos` or in `photos/images`.
pub(super) fn read(file: &Path, photos: &Path) -> Result<Description, DataError> {
    let location = file.display().to_string();
    let open = File::open(file).map_err(DataError::read(file))?;
    let size = open.metadata().map_err(DataError::read(file))?.len();
    if size > LARGEST {
        return Err(DataError::TooLarge {
            location,
            needed: size,
            limit: LARGEST,
        });
    }
    let mut content: Content =
        serde_json::from_reader(BufReader::new(open)).map_err(|problem| {
            DataError::malformed(&location, "images, annotations and categories", problem)
        })?;
    content.categories.sort_by_key(|category| category.id);
    let names: HashMap<u64, &str> = (content.categories.iter())
        .map(|category| (category.id, category.name.as_str()))
        .collect();
    let mut objects: HashMap<u64, Vec<DescribedObject>> = HashMap::new();
    for (index, one) in content.annotations.iter().enumerate() {
        let place = || format!("{location}, annotation {index}");
        let class = names.get(&one.category_id).ok_or_else(|| {
            DataError::malformed(place(), "the id of a category", one.category_id)
        })?;
        let [left, top, width, height] = one.bbox;
        objects
            .entry(one.image_id)
            .or_default()
            .push(DescribedObject {
                class: class.to_string(),
                corners: checked(place(), [top, left, top + height, left + width])?,
                area: one.area.filter(|area| area.is_finite()),
                crowd: one.iscrowd != 0,
                difficult: false,
            });
    }
    let images = content.images.into_iter();
    let described = images.map(|image| Described {
        path: place(photos, &image.file_name),
        size: image
            .height
            .zip(image.width)
            .map(|(rows, columns)| [rows, columns]),
        objects: objects.remove(&image.id).unwrap_or_default(),
    });
    let photos: Vec<Described> = described.collect();
    if let Some(id) = objects.keys().min() {
        return Err(DataError::malformed(location, "the id of an image", id));
    }
    let classes = content.categories.into_iter().map(|category| category.name);
    Ok(Description {
        photos,
        classes: Some(classes.collect()),
    })
}

fn place(photos: &Path, name: &str) -> PathBuf {
    let path = photos.join(name);
    match path.is_file() {
        true => path,
        false => photos.join("images").join(name),
    }
}
