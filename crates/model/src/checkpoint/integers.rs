//! Loads a quantised file as a network of integers.

use std::path::Path;

use mobilenet_kernels::integer::IntegerNetwork;

use super::error::CheckpointError;
use super::integer_structure::KEY;
use super::integer_tensors::network;
use super::load::read_file;
use super::locate::locate;
use super::readers::{Format, ReadError, ReadLimits, has_entry, has_integers, read_integers};

/// Whether a file's network computes in 8-bit integers: TFLite, or our own safetensors. Files whose
/// weights alone are quantised, or of another format, do not.
///
/// # Errors
/// If the file cannot be read or is broken.
pub fn is_quantized(path: &Path, limits: ReadLimits) -> Result<bool, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    let found = match Format::detect(&bytes) {
        Some(Format::Tflite) => has_integers(&bytes, limits),
        Some(Format::Safetensors) => Ok(has_entry(&bytes, KEY)),
        _ => Ok(false),
    };
    found.map_err(|source| CheckpointError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// Loads a quantised TFLite file, or our own safetensors of a network of integers, as integers.
/// ([`load`](super::load) reads the same file as the numbers that its integers mean.)
///
/// # Errors
/// If the file cannot be read, is broken, is of another format, or is not quantised.
pub fn load_integers(path: &Path, limits: ReadLimits) -> Result<IntegerNetwork, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    let network = match Format::detect(&bytes) {
        Some(Format::Tflite) => read_integers(&bytes, limits),
        Some(format @ Format::Safetensors) => {
            format.read(&bytes, limits).and_then(|file| network(&file))
        }
        found => {
            let found = found.map_or("another format".to_string(), |format| format.to_string());
            let problem = format!(
                "no network of integers: expected TFLite or our own safetensors, found {found}"
            );
            Err(ReadError::malformed("format", problem))
        }
    };
    network.map_err(|source| CheckpointError::Read {
        path: path.to_path_buf(),
        source,
    })
}
