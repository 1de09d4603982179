//! Errors of files of weights. Every message names the file, and the tensor or part of it.

use std::path::PathBuf;

use super::misfit::Misfit;
use super::readers::ReadError;
use super::report::LoadReport;
use crate::error::ModelError;

/// An error of loading or writing a file of weights.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
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
    /// The content has none of the supported formats.
    #[error("{path}: none of the formats {formats} (it begins with {start})")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The supported formats.
        formats: String,
        /// Its first bytes, printable.
        start: String,
    },
    /// The folder holds no file of weights.
    #[error("{path}: a folder that holds none of {expected}")]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// The file names looked for.
        expected: String,
    },
    /// A reader failed.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ReadError,
    },
    /// The names of the tensors are those of no supported framework.
    #[error(
        "{path}: no MobileNetV1 that we know: \
         none of {count} tensors has the name of its first convolution{misfit}"
    )]
    UnknownNames {
        /// The file.
        path: PathBuf,
        /// Number of tensors.
        count: usize,
        /// Which network it may be instead.
        misfit: Box<Misfit>,
    },
    /// The tensors' shapes are not those of a MobileNetV1.
    #[error("{path}: {problem}{misfit}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
        /// Which network it may be instead.
        misfit: Box<Misfit>,
    },
    /// Metadata or a configuration in the same folder has an impossible value.
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
        /// Which network it may be instead.
        misfit: Box<Misfit>,
        /// The state of every parameter and tensor.
        report: Box<LoadReport>,
    },
    /// A tensor holds a value that no trained network has.
    #[error("{path}: tensor `{tensor}` holds {value} at index {index}, {expected}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Name of the tensor in the file.
        tensor: String,
        /// Index of the value.
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
        /// The cause.
        problem: String,
    },
    /// The configuration in the file describes no network.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<ModelError>,
    },
}
