//! Files that appear whole or not at all.

use std::path::Path;

use mobilenet_model::file;

use crate::error::TrainError;

/// Writes beside the target, makes it durable, and renames it into place.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    file::write_atomically(path, bytes).map_err(TrainError::write(path))
}
