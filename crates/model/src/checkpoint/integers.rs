//! Loads a quantised file as a network of integers.

use std::path::Path;

use mobilenet_kernels::integer::IntegerNetwork;

use super::error::CheckpointError;
use super::load::read_file;
use super::locate::locate;
use super::readers::{Format, ReadError, ReadLimits, has_integers, read_integers};

/// Whether a file's network computes in 8-bit integers. Files whose weights alone are quantised, or
/// of another format, do not.
///
/// # Errors
/// If the file cannot be read or is no TFLite model although it begins as one.
pub fn is_quantized(path: &Path, limits: ReadLimits) -> Result<bool, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    if Format::detect(&bytes) != Some(Format::Tflite) {
        return Ok(false);
    }
    has_integers(&bytes, limits).map_err(|source| CheckpointError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// Loads a quantised TFLite file as integers. ([`load`](super::load) reads the same file as the
/// numbers that its integers mean.)
///
/// # Errors
/// If the file cannot be read, is broken, is of another format, or is not quantised.
pub fn load_integers(path: &Path, limits: ReadLimits) -> Result<IntegerNetwork, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    let network = match Format::detect(&bytes) {
        Some(Format::Tflite) => read_integers(&bytes, limits),
        found => {
            let found = found.map_or("another format".to_string(), |format| format.to_string());
            let problem = format!("no network of integers: expected a TFLite file, found {found}");
            Err(ReadError::malformed("format", problem))
        }
    };
    network.map_err(|source| CheckpointError::Read {
        path: path.to_path_buf(),
        source,
    })
}
