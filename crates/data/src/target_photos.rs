//! Photos that have a row of numbers instead of a class.

use std::path::PathBuf;
use std::sync::Arc;

use mobilenet_photos::{DecodeLimits, Photo, open};

use super::{DataError, ImageDataset, Targets};

/// Photo files, each with a row of [`Targets`].
#[derive(Debug, Clone)]
pub struct TargetPhotos {
    files: Vec<PathBuf>,
    names: Vec<String>,
    targets: Arc<Targets>,
}

impl TargetPhotos {
    /// Photos whose rows are in the same order, and the names of the rows' numbers.
    pub(super) fn new(files: Vec<PathBuf>, names: Vec<String>, targets: Targets) -> Self {
        Self {
            files,
            names,
            targets: Arc::new(targets),
        }
    }
}

impl ImageDataset for TargetPhotos {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn class_names(&self) -> &[String] {
        &self.names
    }

    fn label(&self, index: usize) -> usize {
        index
    }

    fn load(&self, index: usize) -> Result<Photo, DataError> {
        Ok(open(&self.files[index], DecodeLimits::default())?)
    }

    fn name(&self, index: usize) -> String {
        self.files[index].display().to_string()
    }

    fn targets(&self) -> Option<&Arc<Targets>> {
        Some(&self.targets)
    }
}
