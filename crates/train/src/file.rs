//! Atomic writing of files.

use std::path::Path;

use mobilenet_model::file;

use crate::error::TrainError;

/// Writes a file atomically: it appears whole or not at all.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    file::write_atomically(path, bytes).map_err(TrainError::write(path))
}
