//! Where the values of a share are that are no gradients.

use std::ops::Range;

use mobilenet_model::{FlatLayout, TrainingPlanOptions};

/// Ranges of a share's values that are always exact between ranks: all running statistics, and the
/// ranges of activations, which follow the weights.
pub(super) fn never_rounded(layout: &FlatLayout) -> Vec<Range<usize>> {
    let entries = layout.entries().iter();
    let exact = entries.filter(|(parameter, _)| !parameter.is_trainable());
    let exact = exact.map(|(_, range)| range.clone());
    exact
        .chain(std::iter::once(layout.len()..usize::MAX))
        .collect()
}

/// Ranges of the running statistics that the next step moves. Others would not keep their bits in a
/// mean over shards.
pub(super) fn moving_statistics(
    layout: &FlatLayout,
    options: &TrainingPlanOptions,
) -> Vec<Range<usize>> {
    if options.frozen_batch_norm {
        return Vec::new();
    }
    let entries = layout.entries();
    let mut layers: Vec<_> = entries
        .iter()
        .map(|(parameter, _)| parameter.layer)
        .collect();
    layers.dedup();
    layers.truncate(options.frozen_layers);
    let moving = entries
        .iter()
        .filter(|(parameter, _)| !parameter.is_trainable() && !layers.contains(&parameter.layer));
    moving.map(|(_, range)| range.clone()).collect()
}
