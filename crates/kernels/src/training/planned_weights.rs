//! Offsets of weights that are rounded in training.

use super::network::TrainingLayer;
use super::offsets::Offsets;
use crate::fake_quantization::WeightScheme;

/// Batch normalisation that is folded into weights, as offsets of parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold {
    pub(super) gamma: Option<usize>,
    pub(super) running_variance: usize,
}

/// Offsets of a layer's rounded weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedWeights {
    pub(super) scheme: WeightScheme,
    /// The first of the weights among the parameters, their channels, and the weights of a channel.
    pub(super) weights: usize,
    pub(super) channels: usize,
    pub(super) depth: usize,
    pub(super) fold: Option<Fold>,
    /// Offsets of the smallest and the largest folded weight of each channel.
    pub(super) least: usize,
    pub(super) most: usize,
}

impl PlannedWeights {
    /// For the weights of a classifier, `[channels, depth]`.
    pub(super) fn new(
        scheme: WeightScheme,
        weights: usize,
        [channels, depth]: [usize; 2],
        offsets: &mut Offsets,
    ) -> Self {
        Self {
            scheme,
            weights,
            channels,
            depth,
            fold: None,
            least: offsets.take(channels),
            most: offsets.take(channels),
        }
    }

    /// For a layer with batch normalisation.
    pub(super) fn of_layer(
        scheme: WeightScheme,
        layer: &TrainingLayer,
        offsets: &mut Offsets,
    ) -> Self {
        let shape = [layer.out_channels, layer.depth()];
        Self {
            fold: Some(Fold {
                gamma: layer.gamma,
                running_variance: layer.running_variance,
            }),
            ..Self::new(scheme, layer.weights, shape, offsets)
        }
    }
}
