//! How to read a file, and what the caller says of it.

use super::metadata::SavedActivation;
use super::readers::{Format, ReadLimits};
use crate::config::PaddingRule;

/// How to read a file, and what overrides what it says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LoadOptions {
    /// What reading may take.
    pub limits: ReadLimits,
    /// The reader, instead of recognising the format by content.
    pub format: Option<Format>,
    /// Take the moving averages of parameters where the file has them: `ExponentialMovingAverage`
    /// of TensorFlow, `state_dict_ema` of PyTorch.
    pub averages: bool,
    /// What follows each layer, whatever the file says.
    pub activation: Option<SavedActivation>,
    /// How layers pad, whatever the file says.
    pub padding: Option<PaddingRule>,
    /// What batch normalisation adds to variances, whatever the file says.
    pub batch_norm_epsilon: Option<f64>,
}
