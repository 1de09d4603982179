//! The result of batch normalisation, by the kernel and by the fallback.

use candle_core::Tensor;

/// The result of batch normalisation in training.
#[derive(Debug, Clone)]
pub struct BatchNormOutput {
    /// The normalised and activated values, `[B, C, H, W]`.
    pub output: Tensor,
    /// Mean of the batch, `[C]`, without gradient.
    pub mean: Tensor,
    /// Biased variance of the batch, `[C]`, without gradient.
    pub variance: Tensor,
}
