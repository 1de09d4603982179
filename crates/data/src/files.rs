//! Photos in separate files, from a folder or a list.

use std::path::PathBuf;

use mobilenet_photos::{DecodeLimits, Photo, open};

use super::{DataError, ImageDataset};

/// Photo files with their classes.
#[derive(Debug, Clone)]
pub struct ImageFiles {
    files: Vec<(PathBuf, usize)>,
    class_names: Vec<String>,
    limits: DecodeLimits,
}

impl ImageFiles {
    /// Photos as (path, class index). A file is first opened when its photo is loaded.
    ///
    /// # Errors
    /// If a class index has no name.
    pub fn new(files: Vec<(PathBuf, usize)>, class_names: Vec<String>) -> Result<Self, DataError> {
        if let Some((path, class)) = files.iter().find(|(_, class)| *class >= class_names.len()) {
            let expected = format!("a class index below {}", class_names.len());
            return Err(DataError::malformed(path.display(), expected, class));
        }
        Ok(Self {
            files,
            class_names,
            limits: DecodeLimits::default(),
        })
    }

    /// The same photos with other limits of decoding.
    pub fn with_limits(self, limits: DecodeLimits) -> Self {
        Self { limits, ..self }
    }
}

impl ImageDataset for ImageFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn label(&self, index: usize) -> usize {
        self.files[index].1
    }

    fn load(&self, index: usize) -> Result<Photo, DataError> {
        Ok(open(&self.files[index].0, self.limits)?)
    }

    fn name(&self, index: usize) -> String {
        self.files[index].0.display().to_string()
    }
}
