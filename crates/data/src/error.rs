//! The errors of data sets and their photos.

use std::path::{Path, PathBuf};

use mobilenet_photos::PhotoError;

/// A data set, or one of its photos, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A photo cannot be decoded or preprocessed.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The content does not follow the format.
    #[error("{location}: expected {expected}, found {found}")]
    Malformed {
        /// File, and line or record.
        location: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Reading on would take more memory than allowed.
    #[error("{location}: needs {needed} bytes, more than the limit of {limit}")]
    TooLarge {
        /// File, and record.
        location: String,
        /// Bytes that would be needed.
        needed: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// A data set is not on this machine.
    #[error("{name} is not at {path}: {advice}")]
    Missing {
        /// Name of the data set.
        name: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// How to get it.
        advice: &'static str,
    },
    /// Settings that do not go together.
    #[error("cannot load data: {0}")]
    Settings(String),
    /// A decoder or data set panicked on a photo.
    #[error("{name}: its decoder failed: {message}")]
    Panicked {
        /// The photo.
        name: String,
        /// Message of the panic.
        message: String,
    },
    /// More photos are unusable than allowed.
    #[error(
        "{skipped} of {images} photos cannot be used, more than the allowed share of {allowed}; \
         the first: {first}"
    )]
    TooManySkipped {
        /// Unusable photos so far.
        skipped: usize,
        /// Photos of the data set.
        images: usize,
        /// Share that may be unusable.
        allowed: f64,
        /// The error of the first of them.
        first: String,
    },
}

impl DataError {
    pub(super) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Read {
            path: path.to_path_buf(),
            source,
        }
    }

    /// [`DataError::Malformed`] at this location.
    pub fn malformed(
        location: impl ToString,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::Malformed {
            location: location.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}
