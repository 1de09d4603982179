//! Errors of finding, fetching and caching weights.

use std::path::PathBuf;

use mobilenet_model::checkpoint::CheckpointError;

/// Why weights could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The text is no file, no known name and not of the form `hf:OWNER/REPO`.
    #[error(
        "`{weights}` is no file or folder and no known name{}; known are {known}, and hf:OWNER/REPO",
        nearest.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
    )]
    Unknown {
        /// The text that the user gave.
        weights: String,
        /// The known names, separated by commas.
        known: String,
        /// A known name that is similar.
        nearest: Option<&'static str>,
    },
    /// The text is no file and no known detector.
    #[error(
        "`{weights}` is no file or folder and no known detector{}; known are {known}",
        nearest.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
    )]
    UnknownDetector {
        /// The text that the user gave.
        weights: String,
        /// The known names, separated by commas.
        known: String,
        /// A known name that is similar.
        nearest: Option<&'static str>,
    },
    /// Every source failed.
    #[error("cannot fetch {name}:{}", attempts.iter().map(|line| format!("\n  {line}")).collect::<String>())]
    Fetch {
        /// The weights.
        name: String,
        /// The error of each source, in the order of the attempts.
        attempts: Vec<String>,
    },
    /// One source failed.
    #[error("{origin}: {problem}")]
    Source {
        /// The source.
        origin: String,
        /// What went wrong.
        problem: String,
    },
    /// The fetched file's checksum is not the expected one.
    #[error("{what} has the sha256 {found}, expected {expected}")]
    Checksum {
        /// The file.
        what: String,
        /// The expected sha256, in hexadecimal.
        expected: String,
        /// The fetched file's sha256, in hexadecimal.
        found: String,
    },
    /// The cache folder cannot be used.
    #[error("cannot use the cache at {path}: {source} (MOBILENET_CACHE sets another folder)")]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The user has no home folder, and MOBILENET_CACHE is not set.
    #[error("there is no cache folder: set MOBILENET_CACHE")]
    NoCache,
    /// The file cannot be used as a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
