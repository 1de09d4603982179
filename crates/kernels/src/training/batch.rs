//! The inputs of one batch.

use super::ranges::MovingRanges;

/// The inputs of one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) parameters: &'a [f32],
    /// Ranges of the activations, with fake quantisation.
    pub(super) ranges: Option<MovingRanges<'a>>,
    pub(super) images: &'a [f32],
    /// Dropout factors of the features, `[batch, channels]`.
    pub(super) dropout: Option<&'a [f32]>,
}
