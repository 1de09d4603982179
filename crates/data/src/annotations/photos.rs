//! Photos with their boxes.

use std::collections::HashMap;
use std::path::PathBuf;

use mobilenet_photos::{DecodeLimits, Photo, open};

use super::folder::Unit;
use super::read::Description;
use crate::identity::{counted, with_name};
use crate::{DataError, MOST_CLASSES};

/// An object's class from 0 on, and its box, from 0 to 1 of the image's sides.
pub type Object = (usize, [f32; 4]);

/// An object in a photo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectBox {
    /// Class index, from 0.
    pub class: usize,
    /// Top, left, bottom and right.
    pub corners: [f64; 4],
    /// Pixels of the object, if they are known: fewer than those of its box.
    pub area: Option<f64>,
    /// Whether the box contains many objects.
    pub crowd: bool,
    /// Whether the object is hard to recognise.
    pub difficult: bool,
}

#[derive(Debug, Clone)]
struct Annotated {
    path: PathBuf,
    size: Option<[usize; 2]>,
    objects: Vec<ObjectBox>,
}

/// Annotated photo files, which are first opened when a photo is loaded.
///
/// Methods that take an index panic if it is not below [`len`](Self::len), as slices do.
#[derive(Debug, Clone)]
pub struct AnnotatedPhotos {
    photos: Vec<Annotated>,
    class_names: Vec<String>,
    unit: Unit,
    limits: DecodeLimits,
}

impl AnnotatedPhotos {
    pub(super) fn new(
        description: Description,
        class_names: Vec<String>,
        unit: Unit,
    ) -> Result<Self, DataError> {
        if class_names.is_empty() || class_names.len() > MOST_CLASSES {
            let expected = format!("from 1 to {MOST_CLASSES} classes of objects");
            return Err(DataError::malformed(
                "annotations",
                expected,
                class_names.len(),
            ));
        }
        let numbers: HashMap<&str, usize> = (class_names.iter().enumerate())
            .map(|(number, name)| (name.as_str(), number))
            .collect();
        let mut photos = Vec::with_capacity(description.photos.len());
        for photo in description.photos {
            let object = |object: super::read::DescribedObject| {
                let class = numbers.get(object.class.as_str()).copied();
                let class = class.ok_or_else(|| {
                    let place = photo.path.display();
                    DataError::malformed(place, "a class of the data set", &object.class)
                })?;
                Ok(ObjectBox {
                    class,
                    corners: object.corners,
                    area: object.area,
                    crowd: object.crowd,
                    difficult: object.difficult,
                })
            };
            let objects = photo.objects.into_iter().map(object);
            photos.push(Annotated {
                objects: objects.collect::<Result<_, DataError>>()?,
                path: photo.path,
                size: photo.size,
            });
        }
        Ok(Self {
            photos,
            class_names,
            unit,
            limits: DecodeLimits::default(),
        })
    }

    /// Number of photos.
    pub fn len(&self) -> usize {
        self.photos.len()
    }

    /// Whether there are no photos.
    pub fn is_empty(&self) -> bool {
        self.photos.is_empty()
    }

    /// Names by class index.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Number of objects of all photos.
    pub fn objects(&self) -> usize {
        self.photos.iter().map(|photo| photo.objects.len()).sum()
    }

    /// Number of photos, and a checksum of their names, boxes and classes, as [`crate::identity()`] of
    /// photos with labels.
    pub fn identity(&self) -> String {
        let mut sum = 0;
        for photo in &self.photos {
            sum = with_name(sum, &photo.path);
            for object in &photo.objects {
                let flags = [object.crowd, object.difficult].map(u8::from);
                sum = crc32c::crc32c_append(sum, &(object.class as u64).to_le_bytes());
                sum = crc32c::crc32c_append(sum, &flags);
                for value in object.corners.iter().chain(&object.area) {
                    sum = crc32c::crc32c_append(sum, &value.to_le_bytes());
                }
            }
        }
        for name in &self.class_names {
            sum = crc32c::crc32c_append(sum, name.as_bytes());
        }
        counted(self.photos.len(), sum)
    }

    /// The photo's file.
    pub fn path(&self, index: usize) -> &PathBuf {
        &self.photos[index].path
    }

    /// Name of a photo in messages.
    pub fn name(&self, index: usize) -> String {
        self.path(index).display().to_string()
    }

    /// Reads and decodes a photo.
    ///
    /// # Errors
    /// If the file cannot be read or is no photo, or the photo has not the shape for which its boxes
    /// were drawn.
    pub fn load(&self, index: usize) -> Result<Photo, DataError> {
        let Annotated { path, size, .. } = &self.photos[index];
        let photo = open(path, self.limits)?;
        let found = [photo.height(), photo.width()].map(|side| side as usize);
        if let Some(stated) = size.filter(|&stated| !same_shape(stated, found)) {
            let shape = |[rows, columns]: [usize; 2]| format!("{rows} rows, {columns} columns");
            return Err(DataError::malformed(
                path.display(),
                shape(stated),
                shape(found),
            ));
        }
        Ok(photo)
    }

    /// The objects of a photo of so many rows and columns, with corners from 0 to 1 of its sides.
    /// They may reach beyond it.
    pub fn shares(&self, index: usize, size: [usize; 2]) -> Vec<ObjectBox> {
        let [rows, columns] = self
            .annotated_size(index, size)
            .map(|side| side.max(1) as f64);
        let factor = match self.unit {
            Unit::Shares => [1.0; 4],
            Unit::Pixels => [rows, columns, rows, columns],
        };
        let scaled = |object: &ObjectBox| ObjectBox {
            corners: std::array::from_fn(|side| object.corners[side] / factor[side]),
            ..*object
        };
        self.photos[index].objects.iter().map(scaled).collect()
    }

    /// The same with corners in pixels of [`Self::annotated_size`].
    pub fn pixels(&self, index: usize, size: [usize; 2]) -> Vec<ObjectBox> {
        let [rows, columns] = self.annotated_size(index, size).map(|side| side as f64);
        let factor = match self.unit {
            Unit::Pixels => [1.0; 4],
            Unit::Shares => [rows, columns, rows, columns],
        };
        let scaled = |object: &ObjectBox| ObjectBox {
            corners: std::array::from_fn(|side| object.corners[side] * factor[side]),
            ..*object
        };
        self.photos[index].objects.iter().map(scaled).collect()
    }

    /// Rows and columns in whose pixels boxes are measured: those that the annotations state, or else
    /// the photo's.
    pub fn annotated_size(&self, index: usize, size: [usize; 2]) -> [usize; 2] {
        let stated = self.photos[index]
            .size
            .filter(|_| self.unit == Unit::Pixels);
        stated.unwrap_or(size)
    }
}

/// Whether a photo of one size can be a smaller or larger copy of one of the other size.
fn same_shape(a: [usize; 2], b: [usize; 2]) -> bool {
    let product = |a: usize, b: usize| a as u128 * b as u128;
    let difference = product(a[0], b[1]).abs_diff(product(a[1], b[0]));
    // Sides are whole numbers: each may be wrong by one pixel.
    difference <= (a[0] + a[1]).max(b[0] + b[1]) as u128
}
