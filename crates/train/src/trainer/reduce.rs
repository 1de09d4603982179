//! The reduction between gradients and update: one step's batch may be computed in shards, each a
//! batch of its own, perhaps on several machines.

use crate::error::TrainError;

/// What one shard contributes to a step. The step uses the mean over all shards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contribution {
    /// By the network's layout: the gradient of the mean loss by each parameter. Running statistics
    /// have no gradient; in their place stand the statistics themselves, moved by the shard's batch.
    pub values: Vec<f32>,
    /// Mean loss of the shard's examples, without L2.
    pub loss: f64,
}

/// Combines the contributions of a step's shards.
pub trait Reduce {
    /// Replaces a shard's contribution by the mean over all shards, in the same bits for every
    /// caller. Values that are equal in all shards must stay as they are: frozen statistics are.
    ///
    /// # Errors
    /// If the other shards cannot be reached.
    fn mean(&mut self, contribution: &mut Contribution) -> Result<(), TrainError>;
}

/// One machine, one shard: the contribution is the mean.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Reduce for Alone {
    fn mean(&mut self, _: &mut Contribution) -> Result<(), TrainError> {
        Ok(())
    }
}
