//! Whatever can go wrong between a photo and its names.

use mobilenet_model::ModelError;
use mobilenet_model::checkpoint::CheckpointError;
use mobilenet_model::preprocess::PhotoError;

/// Whatever can go wrong on the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The weights cannot be had.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] mobilenet_hub::HubError),
    /// The weights are no usable checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The photo cannot be used.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The network refuses.
    #[error(transparent)]
    Model(#[from] ModelError),
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
