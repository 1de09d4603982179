//! What the kernel and the fallback of batch normalisation both give.

use candle_core::Tensor;

/// What batch normalisation in training gives.
#[derive(Debug, Clone)]
pub struct BatchNormOutput {
    /// The normalised and activated values, `[B, C, H, W]`.
    pub output: Tensor,
    /// Mean of the batch, `[C]`, without gradient.
    pub mean: Tensor,
    /// Biased variance of the batch, `[C]`, without gradient.
    pub variance: Tensor,
}
