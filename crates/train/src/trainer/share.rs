//! What a rank contributes to a step.

/// The sum over the shards of one rank, and the loss of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Share {
    /// In the network's layout, the gradient of the mean loss for each parameter. Running
    /// statistics have no gradient. Their ranges hold the statistics, updated by the shard's batch.
    /// With fake quantisation, the ranges of the activations follow, updated in the same way.
    pub values: Vec<f32>,
    /// Mean loss of each shard's images, without L2.
    pub losses: Vec<f64>,
}
