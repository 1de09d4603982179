//! The error of this crate.

use mobilenet_kernels::KernelError;
use mobilenet_model::ModelError;
use mobilenet_model::checkpoint::{CheckpointError, ReadError};

/// Why a detector could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// More of something than is allowed, or none.
    #[error("{what} must be from 1 to {most}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// Lengths that do not go together.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// An anchor without an area, or with a number that is not finite.
    #[error("anchor {index} must be finite and have an area, found {found:?}")]
    Anchor {
        /// Its index.
        index: usize,
        /// Centre and size.
        found: [f32; 4],
    },
    /// A setting outside its range.
    #[error("{setting} must be {range}, found {found}")]
    Setting {
        /// The setting.
        setting: String,
        /// What it may be.
        range: &'static str,
        /// What it is.
        found: String,
    },
    /// The network has computed what is no number.
    #[error("the network's {what} are not finite; its weights are broken")]
    NotFinite {
        /// Which of its outputs.
        what: &'static str,
    },
    /// A tensor that the network needs is not in the file.
    #[error("`{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape.
    #[error("`{name}` has the shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The network's.
        expected: Vec<usize>,
        /// The file's.
        found: Vec<usize>,
    },
    /// A weight that is no number.
    #[error("the weights of {layer} are not finite")]
    Weights {
        /// The layer.
        layer: String,
    },
    /// The options of an operator cannot be read.
    #[error("options of the operator {operator}: {problem}")]
    Options {
        /// The operator.
        operator: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The file is no detector of this kind.
    #[error("{file}: {problem}")]
    NoDetector {
        /// The file.
        file: String,
        /// What is missing or too much.
        problem: String,
    },
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: ReadError,
    },
    /// A file cannot be found or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The network cannot be built or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network cannot be computed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// From candle: a parameter is missing or has another shape, or a device failed.
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
