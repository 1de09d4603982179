//! Why weights could not be had.

use std::path::PathBuf;

use mobilenet_model::checkpoint::CheckpointError;

/// Weights that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Neither a file, nor a known name, nor `hf:OWNER/REPO`.
    #[error(
        "`{weights}` is no file or folder and no known name; known are {known}, and hf:OWNER/REPO"
    )]
    Unknown {
        /// What was asked for.
        weights: String,
        /// The known names.
        known: String,
    },
    /// Every source failed.
    #[error("cannot fetch {name}:{}", attempts.iter().map(|line| format!("\n  {line}")).collect::<String>())]
    Fetch {
        /// The weights.
        name: String,
        /// What became of each source.
        attempts: Vec<String>,
    },
    /// One source failed.
    #[error("{origin}: {problem}")]
    Source {
        /// Where the weights were looked for.
        origin: String,
        /// What went wrong.
        problem: String,
    },
    /// What was fetched is not what is known.
    #[error("{what} has the sha256 {found}, expected {expected}")]
    Checksum {
        /// The file.
        what: String,
        /// The known sum.
        expected: String,
        /// The sum of what was fetched.
        found: String,
    },
    /// The cache folder cannot be used.
    #[error("cannot use the cache at {path}: {source} (MOBILENET_CACHE sets another folder)")]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The user has no home, and MOBILENET_CACHE is not set.
    #[error("there is no cache folder: set MOBILENET_CACHE")]
    NoCache,
    /// The file is no usable checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
