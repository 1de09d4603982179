//! What a batch is computed from.

/// What a batch is computed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) parameters: &'a [f32],
    pub(super) images: &'a [f32],
    /// Factors of the features, `[batch, channels]`.
    pub(super) dropout: Option<&'a [f32]>,
}
