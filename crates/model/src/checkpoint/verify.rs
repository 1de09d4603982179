//! Compares the logits of converted weights with those of the framework they come from.

use std::path::Path;

use serde::Serialize;

use super::error::CheckpointError;
use super::load::read_tensors;
use super::model::Checkpoint;
use super::options::LoadOptions;
use super::readers::{Format, NamedTensors, ReadError, ReadLimits};
use crate::array::Array;
use crate::error::ModelError;
use crate::plan::{InferencePlan, PlanOptions, PlanWeights};

/// An input, and the logits that another implementation computes for it.
#[derive(Debug, Clone)]
pub struct Reference {
    /// `[batch, height, width, channels]`.
    input: Array,
    /// `[batch, classes]`, before softmax.
    logits: Array,
}

/// Differences between our logits and a reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Largest difference.
    pub max_absolute: f32,
    /// Largest difference, relative to the largest logit of the reference.
    pub max_relative: f32,
}

impl Agreement {
    /// The largest relative difference that two correct f32 computations may have.
    pub const TOLERANCE: f32 = 1e-4;

    /// Whether the difference is within the tolerance.
    pub fn is_good(&self) -> bool {
        self.max_relative <= Self::TOLERANCE
    }
}

impl Reference {
    /// Reads an npz file of `input`, preprocessed f32 `[batch, height, width, channels]`, and
    /// `logits` `[batch, classes]`.
    ///
    /// # Errors
    /// If the file cannot be read, or lacks one of the two.
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
        Ok(Self {
            input: array(&file, "input", 4).map_err(failed)?,
            logits: array(&file, "logits", 2).map_err(failed)?,
        })
    }

    /// Compares the logits of a network with the reference.
    ///
    /// # Errors
    /// If the input does not fit the network, or the number of logits differs.
    pub fn compare(&self, checkpoint: &Checkpoint) -> Result<Agreement, ModelError> {
        let config = checkpoint.metadata.config();
        let &[batch, height, width, channels] = self.input.shape() else {
            return Err(ModelError::Rank {
                found: self.input.shape().len(),
            });
        };
        if channels != config.base.in_channels {
            return Err(ModelError::InputChannels {
                expected: config.base.in_channels,
                found: channels,
                shape: self.input.shape().to_vec(),
            });
        }
        let expected = [batch, config.classes().unwrap_or(0)];
        if self.logits.shape() != expected {
            return Err(ModelError::Setting {
                setting: "the shape of the reference's logits",
                range: "that of the network's",
                found: format!("{:?}, expected {expected:?}", self.logits.shape()),
            });
        }
        let weights = PlanWeights::new(&config, &checkpoint.parameters)?;
        let mut plan = InferencePlan::new(&weights, &PlanOptions::new([height, width], 1))?;
        let mut found = vec![0.0; self.logits.values().len()];
        plan.run(self.input.values(), &mut found)?;
        let expected = self.logits.values();
        let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
        let max_absolute =
            found
                .iter()
                .zip(expected)
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
fn array(file: &NamedTensors, name: &str, rank: usize) -> Result<Array, ReadError> {
    let wrong = |problem: String| ReadError::tensor(name, problem);
    let raw = file.tensors.get(name);
    let raw = raw.ok_or_else(|| wrong("not in the file".to_string()))?;
    let values = raw.to_f32();
    let values = values.ok_or_else(|| wrong(format!("expected f32, found {}", raw.dtype)))?;
    if raw.shape.len() != rank {
        let found = &raw.shape;
        return Err(wrong(format!(
            "expected {rank} dimensions, found {found:?}"
        )));
    }
    Array::new(raw.shape.as_slice(), values.into_owned()).map_err(|error| wrong(error.to_string()))
}
