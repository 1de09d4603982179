//! Pascal VOC: an XML file for each photo.
//!
//! ```text
//! FOLDER/Annotations/NAME.xml, FOLDER/JPEGImages/NAME.jpg     or both files in FOLDER itself
//! FOLDER/ImageSets/Main/SPLIT.txt                             names, one a line
//! ```
//!
//! Coordinates are taken as they are, as TensorFlow's Object Detection API takes them: VOC's own count
//! from 1 and include the last pixel, those of most tools do not.

use std::path::{Path, PathBuf};

use mobilenet_photos::has_photo_ending;
use roxmltree::{Document, Node, ParsingOptions};

use super::read::{Described, DescribedObject, checked, entries, has_extension, text};
use crate::DataError;

/// Most elements and texts of a file.
const MOST_NODES: u32 = 1 << 18;

/// The folder with the XML files, if it has any.
pub(super) fn annotations(folder: &Path) -> Option<PathBuf> {
    let has = |folder: &PathBuf| {
        let paths = entries(folder).unwrap_or_default();
        paths.iter().any(|path| has_extension(path, "xml"))
    };
    let places = [
        folder.join("Annotations"),
        folder.join("annotations"),
        folder.to_path_buf(),
    ];
    places.into_iter().find(has)
}

/// Reads all XML files of a folder, or those with these names.
pub(super) fn read(folder: &Path, names: Option<&[String]>) -> Result<Vec<Described>, DataError> {
    let Some(annotations) = annotations(folder) else {
        let expected = "files of annotations that end in .xml";
        return Err(DataError::malformed(folder.display(), expected, "none"));
    };
    let files: Vec<PathBuf> = match names {
        None => entries(&annotations)?,
        Some(names) => {
            let files = names.iter();
            files
                .map(|name| annotations.join(format!("{name}.xml")))
                .collect()
        }
    };
    let files = files.iter().filter(|path| has_extension(path, "xml"));
    files.map(|file| photo(folder, file)).collect()
}

/// The names of `ImageSets/Main/SPLIT.txt`, if there is such a file.
pub(super) fn image_set(folder: &Path, split: &str) -> Result<Option<Vec<String>>, DataError> {
    let path = folder.join("ImageSets/Main").join(format!("{split}.txt"));
    if !path.is_file() {
        return Ok(None);
    }
    let text = text(&path)?;
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(Some(names.map(str::to_string).collect()))
}

fn photo(folder: &Path, file: &Path) -> Result<Described, DataError> {
    let location = file.display().to_string();
    let text = text(file)?;
    let options = ParsingOptions {
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options)
        .map_err(|problem| DataError::malformed(&location, "an XML file", problem))?;
    let root = document.root_element();
    let child = |name| value(root, name);
    let stated = child("filename").unwrap_or_default();
    let path = image(folder, file, stated).ok_or_else(|| {
        DataError::malformed(
            &location,
            "a photo of the file's name",
            format!("`{stated}`"),
        )
    })?;
    let size = element(root, "size").and_then(|size| {
        let side = |name| {
            value(size, name)?
                .parse()
                .ok()
                .filter(|&side: &usize| side > 0)
        };
        Some([side("height")?, side("width")?])
    });
    let objects = root.children().filter(|node| node.has_tag_name("object"));
    let objects = objects.map(|node| object(&location, node));
    Ok(Described {
        path,
        size,
        objects: objects.collect::<Result<_, _>>()?,
    })
}

/// The photo: by the name that the file states, or else by the file's own name.
fn image(folder: &Path, file: &Path, stated: &str) -> Option<PathBuf> {
    let beside = file.parent().unwrap_or(folder);
    let places = [
        folder.join("JPEGImages"),
        folder.join("images"),
        beside.to_path_buf(),
        folder.to_path_buf(),
    ];
    // Only the last part of the stated name: the rest is of the machine on which it was written.
    let stated = stated
        .rsplit(['/', '\\'])
        .next()
        .filter(|name| !name.is_empty());
    let stated = stated.map(PathBuf::from);
    let stem = PathBuf::from(file.file_stem()?);
    let endings = ["jpg", "jpeg", "png", "bmp", "webp", "JPG", "JPEG", "PNG"];
    let own = endings.map(|ending| PathBuf::from(format!("{}.{ending}", stem.display())));
    let names: Vec<PathBuf> = stated.into_iter().chain(own).collect();
    let paths = names
        .iter()
        .flat_map(|name| places.iter().map(move |place| place.join(name)));
    let mut paths = paths.filter(|path| has_photo_ending(path));
    paths.find(|path| path.is_file())
}

fn object(location: &str, node: Node<'_, '_>) -> Result<DescribedObject, DataError> {
    let malformed = |expected: &str, found: &str| DataError::malformed(location, expected, found);
    let class = value(node, "name").filter(|name| !name.is_empty());
    let class = class.ok_or_else(|| malformed("the name of an object", "none"))?;
    let bounds = element(node, "bndbox").ok_or_else(|| malformed("a `bndbox`", "none"))?;
    let side = |name: &str| {
        let text = value(bounds, name).unwrap_or("none");
        text.parse::<f64>()
            .map_err(|_| malformed(&format!("a number for `{name}`"), &format!("`{text}`")))
    };
    let corners = [side("ymin")?, side("xmin")?, side("ymax")?, side("xmax")?];
    Ok(DescribedObject {
        class: class.to_string(),
        corners: checked(location, corners)?,
        area: None,
        crowd: false,
        difficult: value(node, "difficult") == Some("1"),
    })
}

fn element<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn value<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    element(node, name)?.text().map(str::trim)
}
