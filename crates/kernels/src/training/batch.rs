//! The inputs of one batch.

/// The inputs of one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) parameters: &'a [f32],
    pub(super) images: &'a [f32],
    /// Dropout factors of the features, `[batch, channels]`.
    pub(super) dropout: Option<&'a [f32]>,
}
