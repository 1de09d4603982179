//! What can be wrong with a file of weights. Every message names the file, and the tensor or the
//! part of the file.

use std::path::PathBuf;

use super::misfit::Misfit;
use super::readers::ReadError;
use super::report::LoadReport;
use crate::error::ModelError;

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
    #[error("{path}: more than the limit of {limit} bytes")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The content is of no format that we read.
    #[error("{path}: none of the formats {formats} (it begins with {start})")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The formats that we read.
        formats: String,
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
        "{path}: no MobileNetV1 that we know: \
         none of {count} tensors has the name of its first convolution{misfit}"
    )]
    UnknownNames {
        /// The file.
        path: PathBuf,
        /// Number of tensors.
        count: usize,
        /// What it looks like.
        misfit: Box<Misfit>,
    },
    /// The shapes are those of no MobileNetV1.
    #[error("{path}: {problem}{misfit}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
        /// What it looks like.
        misfit: Box<Misfit>,
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
    #[error("{path}: {report}{misfit}")]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        misfit: Box<Misfit>,
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
