//! Options of loading.

use super::metadata::SavedActivation;
use super::readers::{Format, ReadLimits};
use crate::config::PaddingRule;

/// How to read a file, and settings that override those of the file.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LoadOptions {
    /// Limits of memory and file size.
    pub limits: ReadLimits,
    /// The format. `None`: recognise it by content.
    pub format: Option<Format>,
    /// Load the moving averages of the parameters, if the file has them: TensorFlow's
    /// `ExponentialMovingAverage`, PyTorch's `state_dict_ema`.
    pub averages: bool,
    /// Overrides the activation after each layer.
    pub activation: Option<SavedActivation>,
    /// Overrides the padding.
    pub padding: Option<PaddingRule>,
    /// Overrides the epsilon of batch normalisation.
    pub batch_norm_epsilon: Option<f64>,
}
