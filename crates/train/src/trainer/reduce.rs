//! The reduction between gradients and update. The batch of a step can be computed in shards,
//! perhaps on several machines.

use crate::error::TrainError;

/// What one shard contributes to a step. The step uses the mean over all shards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contribution {
    /// In the network's layout, the gradient of the mean loss for each parameter. Running
    /// statistics have no gradient. Their ranges hold the statistics, updated by the shard's batch.
    /// With fake quantisation, the ranges of the activations follow, updated in the same way.
    pub values: Vec<f32>,
    /// Mean loss of the shard's examples, without L2.
    pub loss: f64,
}

/// Combines the contributions of a step's shards.
pub trait Reduce {
    /// Replaces a shard's contribution by the mean over all shards, with the same bits for every
    /// caller. Values that are equal in all shards must not change, because frozen statistics are
    /// such values.
    ///
    /// # Errors
    /// If the other shards cannot be reached.
    fn mean(&mut self, contribution: &mut Contribution) -> Result<(), TrainError>;
}

/// One machine with one shard: the contribution is the mean already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Reduce for Alone {
    fn mean(&mut self, _: &mut Contribution) -> Result<(), TrainError> {
        Ok(())
    }
}
