//! Loads a [`Checkpoint`] from a path or from bytes in memory.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assemble::assemble;
use super::error::CheckpointError;
use super::locate::locate;
use super::model::Checkpoint;
use super::options::LoadOptions;
use super::readers::{Format, NamedTensors, ReadLimits, Source};
use crate::mapped_file::MappedFile;

/// Loads weights from a file, or from a folder of Hugging Face or TensorFlow. The format is
/// recognised by content. A TensorFlow checkpoint may be given by its prefix.
///
/// # Errors
/// If the file cannot be read, is broken, is not a MobileNetV1, or lacks parameters.
pub fn load(path: &Path, limits: ReadLimits) -> Result<Checkpoint, CheckpointError> {
    let options = LoadOptions {
        limits,
        ..LoadOptions::default()
    };
    load_with(path, &options)
}

/// [`load`] with all options.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, options: &LoadOptions) -> Result<Checkpoint, CheckpointError> {
    let path = &locate(path)?;
    let file = read_tensors(path, options)?;
    assemble(path, file, options)
}

/// All tensors of a file or folder under its own names, for networks that are no classifier.
///
/// # Errors
/// If the file cannot be found or read, or is broken.
pub fn load_tensors(path: &Path, limits: ReadLimits) -> Result<NamedTensors, CheckpointError> {
    let options = LoadOptions {
        limits,
        ..LoadOptions::default()
    };
    read_tensors(&locate(path)?, &options)
}

/// All tensors of a file, under its own names.
pub(super) fn read_tensors(
    path: &Path,
    options: &LoadOptions,
) -> Result<NamedTensors, CheckpointError> {
    let limits = options.limits;
    let bytes = read_file(path, limits)?;
    let format = options.format.or_else(|| Format::detect(&bytes));
    let format = format.ok_or_else(|| unknown_format(path, &bytes))?;
    let (folder, name) = place(path);
    let source = Source {
        name: &name,
        bytes: &bytes,
        file: Some(&bytes),
        folder: &folder,
    };
    format
        .read_from(&source, limits)
        .map_err(|source| CheckpointError::Read {
            path: path.to_path_buf(),
            source,
        })
}

/// The folder and the name of a file.
fn place(path: &Path) -> (PathBuf, Cow<'_, str>) {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (folder, name)
}

/// The bytes of a file, within the limits.
///
/// # Errors
/// If it cannot be read or is too large.
pub fn read_file(path: &Path, limits: ReadLimits) -> Result<Arc<MappedFile>, CheckpointError> {
    let file = MappedFile::open(path, limits.file_bytes);
    file.map(Arc::new).map_err(|source| {
        if source.kind() == std::io::ErrorKind::FileTooLarge {
            CheckpointError::FileTooLarge {
                path: path.to_path_buf(),
                limit: limits.file_bytes,
            }
        } else {
            CheckpointError::Io {
                path: path.to_path_buf(),
                source,
            }
        }
    })
}

pub(super) fn unknown_format(path: &Path, bytes: &[u8]) -> CheckpointError {
    CheckpointError::UnknownFormat {
        path: path.to_path_buf(),
        formats: Format::ALL.map(|format| format.to_string()).join(", "),
        start: bytes[..bytes.len().min(16)].escape_ascii().to_string(),
    }
}

/// [`load`] for a file's bytes, for example weights embedded in a program. `name` is the file's
/// name in errors.
///
/// # Errors
/// As [`load`], and for formats of several files.
pub fn load_bytes(
    name: &str,
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<Checkpoint, CheckpointError> {
    let path = Path::new(name);
    let format = Format::detect(bytes).ok_or_else(|| unknown_format(path, bytes))?;
    let file = format
        .read(bytes, limits)
        .map_err(|source| CheckpointError::Read {
            path: path.to_path_buf(),
            source,
        })?;
    assemble(path, file, &LoadOptions::default())
}
