//! The `polynomial` decay of slim's generic trainer.

use serde::{Deserialize, Serialize};

/// A rate that falls from `initial` to `end` as a power of the remaining steps (TensorFlow's
/// `polynomial_decay` without cycles). `train_image_classifier.py` uses power 1 and end 0.0001.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PolynomialDecay {
    /// Rate of the first step.
    pub initial: f64,
    /// Rate after `steps`.
    pub end: f64,
    /// Number of steps until the rate is `end`.
    pub steps: u64,
    /// Power. 1: the rate falls linearly.
    pub power: f64,
}

impl PolynomialDecay {
    /// Rate of a step, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step >= self.steps {
            return self.end;
        }
        let left = 1.0 - step as f64 / self.steps as f64;
        (self.initial - self.end) * left.powf(self.power) + self.end
    }
}
