//! What can be wrong with a file of weights. Every message names the file, and the tensor or the
//! place in the file.

use std::path::PathBuf;

use super::report::LoadReport;
use crate::error::ModelError;

/// What a reader finds wrong with bytes, before anything is known of the network.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The format's own rules are broken.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where in the file.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// One tensor is broken.
    #[error("tensor `{tensor}`: {problem}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Reading on would take more memory than allowed.
    #[error("{what} needs {needed} bytes, more than the {left} left of the limit")]
    Memory {
        /// What would take it.
        what: String,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that are left.
        left: u64,
    },
}

impl ReadError {
    pub(crate) fn malformed(place: impl Into<String>, problem: impl ToString) -> Self {
        Self::Malformed {
            place: place.into(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn tensor(tensor: impl Into<String>, problem: impl ToString) -> Self {
        Self::Tensor {
            tensor: tensor.into(),
            problem: problem.to_string(),
        }
    }
}

/// A file that gives no network.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is larger than the limit.
    #[error("{path}: {bytes} bytes, more than the limit of {limit}")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The content is of no format that we read.
    #[error(
        "{path}: neither safetensors, nor a TensorFlow GraphDef, a PyTorch zip, a Keras file, ONNX or \
         TFLite (it begins with {start})"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its first bytes, printable.
        start: String,
    },
    /// A folder without a file of weights.
    #[error("{path}: a folder that holds none of {expected}")]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// The names looked for.
        expected: String,
    },
    /// The reader gave up.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The tensors have names of no framework that we know.
    #[error(
        "{path}: no MobileNetV1 that we know: none of {count} tensors has a known name ({first})"
    )]
    UnknownNames {
        /// The file.
        path: PathBuf,
        /// Number of tensors.
        count: usize,
        /// The first names.
        first: String,
    },
    /// The shapes are those of no MobileNetV1.
    #[error("{path}: {problem}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// Metadata, or a configuration beside the file, says something impossible.
    #[error("{path}: {key}: {problem}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Tensors are missing or have the wrong shape.
    #[error("{path}: {report}")]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What was found.
        report: Box<LoadReport>,
    },
    /// A tensor holds values that no trained network has.
    #[error("{path}: tensor `{tensor}` holds {value} at index {index}, {expected}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Name of the tensor in the file.
        tensor: String,
        /// Where.
        index: usize,
        /// The value.
        value: f32,
        /// What was expected.
        expected: &'static str,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {problem}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The configuration in the file describes no network.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ModelError>,
    },
}
