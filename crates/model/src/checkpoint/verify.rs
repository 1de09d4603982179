//! Logits of converted weights against those of the framework that the weights come from.

use std::path::Path;

use candle_core::{DType, Tensor};
use serde::Serialize;

use super::error::{CheckpointError, ReadError};
use super::load::{Checkpoint, LoadOptions, read_tensors};
use super::readers::{Format, NamedTensors, ReadLimits};
use crate::error::ModelError;

/// An input and what another implementation makes of it.
#[derive(Debug, Clone)]
pub struct Reference {
    /// `[batch, channels, height, width]`.
    input: Tensor,
    /// `[batch, classes]`, before softmax.
    logits: Tensor,
}

/// How near our logits are to a reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Largest difference.
    pub max_absolute: f32,
    /// Largest difference, relative to the largest logit of the reference.
    pub max_relative: f32,
}

impl Agreement {
    /// The largest relative difference of two correct computations in f32.
    pub const TOLERANCE: f32 = 1e-4;

    /// Whether the two agree.
    pub fn is_good(&self) -> bool {
        self.max_relative <= Self::TOLERANCE
    }
}

impl Reference {
    /// Reads an npz file of `input`, preprocessed f32 `[batch, height, width, channels]`, and
    /// `logits` `[batch, classes]`.
    ///
    /// # Errors
    /// Where the file cannot be read or lacks one of the two.
    pub fn read(path: &Path, limits: ReadLimits) -> Result<Self, CheckpointError> {
        let options = LoadOptions {
            limits,
            format: Some(Format::Npz),
            ..LoadOptions::default()
        };
        let file = read_tensors(path, &options)?;
        let failed = |source| CheckpointError::Read {
            path: path.to_path_buf(),
            source,
        };
        let input = array(&file, "input", 4).map_err(failed)?;
        let input = input.permute((0, 3, 1, 2)).and_then(|t| t.contiguous());
        Ok(Self {
            input: input.map_err(|error| failed(ReadError::tensor("input", error)))?,
            logits: array(&file, "logits", 2).map_err(failed)?,
        })
    }

    /// Compares the logits of a network with the reference.
    ///
    /// # Errors
    /// Where the input does not fit the network, or the number of logits differs.
    pub fn compare(&self, checkpoint: &Checkpoint) -> Result<Agreement, ModelError> {
        let found = checkpoint.build()?.forward_t(&self.input, false)?;
        if found.dims() != self.logits.dims() {
            return Err(ModelError::Setting {
                setting: "the shape of the logits",
                range: "that of the reference",
                found: format!("{:?}, expected {:?}", found.dims(), self.logits.dims()),
            });
        }
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (found, expected) = (values(&found)?, values(&self.logits)?);
        let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
        let max_absolute = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, |max, x| {
                if x.is_nan() {
                    f32::INFINITY
                } else {
                    max.max(x)
                }
            });
        let max_relative = if max_absolute == 0.0 {
            0.0
        } else {
            max_absolute / largest
        };
        Ok(Agreement {
            max_absolute,
            max_relative,
        })
    }
}

/// An array of floating point of the given rank, as f32.
fn array(file: &NamedTensors, name: &str, rank: usize) -> Result<Tensor, ReadError> {
    let raw = file
        .tensors
        .get(name)
        .ok_or_else(|| ReadError::tensor(name, "not in the file"))?;
    match &raw.values {
        Some(values) if values.rank() == rank => values
            .to_dtype(DType::F32)
            .map_err(|error| ReadError::tensor(name, error)),
        Some(values) => {
            let found = values.dims();
            Err(ReadError::tensor(
                name,
                format!("expected {rank} dimensions, found {found:?}"),
            ))
        }
        None => Err(ReadError::tensor(
            name,
            format!("expected f32, found {}", raw.dtype),
        )),
    }
}
