//! The error of this crate.

use std::path::PathBuf;

use mobilenet_model::ModelError;
use mobilenet_model::checkpoint::CheckpointError;
use mobilenet_model::preprocess::PhotoError;

use crate::features::FeaturesError;

/// Why a classifier could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The weights cannot be found, fetched or read.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] mobilenet_hub::HubError),
    /// The file cannot be used as a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The photo cannot be read or prepared.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The network cannot be built or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Data cannot be used, or training fails.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] mobilenet_train::TrainError),
    /// The weights are no detector, or it cannot be computed.
    #[cfg(feature = "detect")]
    #[error(transparent)]
    Detect(#[from] mobilenet_detect::DetectError),
    /// Features cannot be read, written or used.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// Code of a decoder panicked on a photo.
    #[error("its decoder failed")]
    Panicked,
    /// A bug of ours that a file has brought to light.
    #[error("{}: the program made a mistake ({message})", path.display())]
    Panic {
        /// The file.
        path: PathBuf,
        /// The panic's message.
        message: String,
    },
    /// The weights have no classifier.
    #[error("the weights have no classifier; they give features only")]
    NoClassifier,
}

#[cfg(feature = "candle")]
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}
