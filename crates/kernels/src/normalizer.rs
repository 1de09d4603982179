//! What follows a convolution before the activation, as in slim's `normalizer_fn`. Like
//! [`crate::Activation`], this is only a description. Inference folds it into the weights; training
//! and candle's layers compute it.

/// What follows a convolution before the activation: a normaliser, or else a bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Normalizer {
    /// Batch normalisation.
    BatchNorm(BatchNormConfig),
    /// A bias.
    Bias,
    /// Nothing.
    None,
}

/// Settings of a batch normalisation. The defaults are those of slim's argument scope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormConfig {
    /// `running = running * decay + batch * (1 - decay)`; PyTorch's momentum is `1 - decay`.
    pub decay: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether there is a shift (beta).
    pub center: bool,
    /// Whether there is a factor (gamma).
    pub scale: bool,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self {
            decay: 0.9997,
            epsilon: 1e-3,
            center: true,
            scale: true,
        }
    }
}
