//! The optimiser and its settings, as a recipe states them.

use serde::{Deserialize, Serialize};

use super::rule::{Rule, Slot};
use super::{AdamW, Momentum, RmsPropTf, RmsPropTorch, Sgd};
use crate::error::TrainError;

/// An optimiser and its settings. The learning rate is an argument of each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Plain gradient descent, as in `mobilenet_v1_train.py`.
    Sgd,
    /// Gradient descent with momentum. The forms of TensorFlow and PyTorch are the same.
    Momentum {
        /// Share of the last update's direction that is kept.
        momentum: f64,
        /// Whether the momentum is Nesterov's.
        nesterov: bool,
    },
    /// RMSProp in TensorFlow's form: epsilon is inside the root, the mean square starts at 1, and
    /// the learning rate is part of the momentum.
    RmsPropTf {
        /// Share of the mean square that is kept.
        decay: f64,
        /// Share of the last update that is kept.
        momentum: f64,
        /// Added to the mean square inside the root.
        epsilon: f64,
    },
    /// RMSprop in PyTorch's form: epsilon is outside the root, and the mean square starts at 0.
    RmsPropTorch {
        /// Share of the mean square that is kept.
        alpha: f64,
        /// Share of the last update's direction that is kept.
        momentum: f64,
        /// Added to the root.
        epsilon: f64,
    },
    /// Adam with decoupled weight decay (PyTorch's AdamW): the groups' `weight_decay` times the
    /// learning rate shrinks the weights, and is not added to gradients.
    AdamW {
        /// Share of the mean gradient that is kept.
        beta1: f64,
        /// Share of the mean square that is kept.
        beta2: f64,
        /// Added to the root.
        epsilon: f64,
    },
}

impl OptimizerConfig {
    /// RMSProp with the settings of `train_image_classifier.py`: decay 0.9, momentum 0.9, epsilon
    /// 1.
    pub fn rms_prop_slim() -> Self {
        Self::RmsPropTf {
            decay: 0.9,
            momentum: 0.9,
            epsilon: 1.0,
        }
    }

    /// AdamW with PyTorch's defaults: betas 0.9 and 0.999, epsilon 1e-8.
    pub fn adam_w() -> Self {
        Self::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }

    /// Whether weight decay acts on the weights directly instead of through the loss.
    pub fn decoupled_weight_decay(&self) -> bool {
        matches!(self, Self::AdamW { .. })
    }

    pub(super) fn slots(&self) -> &'static [Slot] {
        match self {
            Self::Sgd => &Sgd::SLOTS,
            Self::Momentum { .. } => &Momentum::SLOTS,
            Self::RmsPropTf { .. } => &RmsPropTf::SLOTS,
            Self::RmsPropTorch { .. } => &RmsPropTorch::SLOTS,
            Self::AdamW { .. } => &AdamW::SLOTS,
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        match *self {
            Self::Sgd => Ok(()),
            Self::Momentum { momentum, .. } => share("momentum", momentum),
            Self::RmsPropTf {
                decay,
                momentum,
                epsilon,
            } => share("decay", decay)
                .and(share("momentum", momentum))
                .and(positive("epsilon", epsilon)),
            Self::RmsPropTorch {
                alpha,
                momentum,
                epsilon,
            } => share("alpha", alpha)
                .and(share("momentum", momentum))
                .and(positive("epsilon", epsilon)),
            Self::AdamW {
                beta1,
                beta2,
                epsilon,
            } => share("beta1", beta1)
                .and(share("beta2", beta2))
                .and(positive("epsilon", epsilon)),
        }
    }
}

fn share(setting: &'static str, found: f64) -> Result<(), TrainError> {
    check(
        setting,
        "at least 0 and below 1",
        found,
        (0.0..1.0).contains(&found),
    )
}

fn positive(setting: &'static str, found: f64) -> Result<(), TrainError> {
    check(
        setting,
        "above 0 and finite",
        found,
        found > 0.0 && found.is_finite(),
    )
}

fn check(
    setting: &'static str,
    range: &'static str,
    found: f64,
    good: bool,
) -> Result<(), TrainError> {
    if good {
        return Ok(());
    }
    Err(TrainError::Setting {
        setting,
        range,
        found: found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_states_it() {
        let config = OptimizerConfig::rms_prop_slim();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(
            text,
            r#"{"name":"rms_prop_tf","decay":0.9,"momentum":0.9,"epsilon":1.0}"#
        );
        assert_eq!(
            serde_json::from_str::<OptimizerConfig>(&text).unwrap(),
            config
        );
        assert!(serde_json::from_str::<OptimizerConfig>(r#"{"name":"lion"}"#).is_err());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let config = OptimizerConfig::Momentum {
            momentum: 1.0,
            nesterov: false,
        };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "momentum must be at least 0 and below 1, was 1"
        );
        let config = OptimizerConfig::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: f64::NAN,
        };
        assert!(config.check().is_err());
    }
}
