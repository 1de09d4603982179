//! What a compressed file says of its weights, without decoding them.

use std::path::Path;

use serde::Serialize;

use super::coded::{CODES, Coding, KEY, PALETTE, SCALE};
use super::error::CheckpointError;
use super::load::read_file;
use super::locate::locate;
use super::readers::{ReadError, ReadLimits, entry, part_sizes};

/// How the weights of a file are compressed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compression {
    /// The method's name.
    pub method: String,
    /// The coded layers by name.
    pub layers: Vec<CodedLayer>,
}

/// The coded weights of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodedLayer {
    /// Name of the weights.
    pub name: String,
    /// How many there are.
    pub weights: usize,
    /// Bytes that they take in the file, scales and palette included.
    pub bytes: usize,
}

impl CodedLayer {
    /// Bits of a weight, on average.
    pub fn bits(&self) -> f64 {
        8.0 * self.bytes as f64 / self.weights.max(1) as f64
    }
}

impl Compression {
    /// Bits of a weight, on average over all coded layers.
    pub fn bits(&self) -> f64 {
        let sum = |of: fn(&CodedLayer) -> usize| self.layers.iter().map(of).sum::<usize>();
        8.0 * sum(|layer| layer.bytes) as f64 / sum(|layer| layer.weights).max(1) as f64
    }
}

/// How a file's weights are compressed. `None` if they are not.
///
/// # Errors
/// If the file cannot be read, or its entry is broken.
pub fn compression_of(
    path: &Path,
    limits: ReadLimits,
) -> Result<Option<Compression>, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    let Some(text) = entry(&bytes, KEY) else {
        return Ok(None);
    };
    let coding: Coding = serde_json::from_str(&text).map_err(|error| CheckpointError::Read {
        path: path.clone(),
        source: ReadError::malformed("compression", error),
    })?;
    let sizes = part_sizes(&bytes);
    let layers = coding.tensors.into_iter().map(|(name, entry)| {
        let parts = [CODES, SCALE, PALETTE].map(|part| format!("{name}{part}"));
        CodedLayer {
            bytes: parts.iter().filter_map(|part| sizes.get(part)).sum(),
            weights: entry
                .shape
                .iter()
                .fold(1, |n, &side| n.saturating_mul(side)),
            name,
        }
    });
    Ok(Some(Compression {
        method: coding.method,
        layers: layers.collect(),
    }))
}
