//! Gradient clipping before a step. slim's scripts do not clip, but large learning rates and small
//! batches can need it.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::parameter_group::{ParameterGroup, check_groups};
use super::sum_of_squares::{CHUNK, sum_of_squares};
use crate::error::TrainError;

/// Limits of gradients. The optimiser adds L2 after clipping.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum GradientClipping {
    /// All gradients are scaled by one factor so that their norm is at most the limit
    /// (`tf.clip_by_global_norm`).
    GlobalNorm {
        /// Largest norm: the root of the sum of squares.
        limit: f64,
    },
    /// Each gradient is clamped to plus or minus the limit (`tf.clip_by_value`).
    Value {
        /// Largest magnitude.
        limit: f64,
    },
}

impl GradientClipping {
    /// Limits the gradients of trainable groups, and returns their global norm before that. If the
    /// norm is not finite, the gradients stay unchanged: the step has diverged, which the caller
    /// must handle.
    ///
    /// # Errors
    /// If the limit is not above 0, or the groups do not cover the gradients in order.
    pub fn apply(
        self,
        gradients: &mut [f32],
        groups: &[ParameterGroup],
    ) -> Result<f64, TrainError> {
        let (Self::GlobalNorm { limit } | Self::Value { limit }) = self;
        if limit.is_nan() || limit <= 0.0 {
            return Err(TrainError::Setting {
                setting: "gradient clipping limit",
                range: "above 0",
                found: limit.to_string(),
            });
        }
        let norm = global_norm(gradients, groups)?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        match self {
            Self::GlobalNorm { limit } if norm > limit => {
                let factor = (limit / norm) as f32;
                change(gradients, groups, |gradient| gradient * factor);
            }
            Self::GlobalNorm { .. } => {}
            Self::Value { limit } => {
                let limit = limit as f32;
                change(gradients, groups, |gradient| gradient.clamp(-limit, limit));
            }
        }
        Ok(norm)
    }
}

/// Root of the sum of squares over trainable groups. The sum is in f64, and its order does not
/// depend on threads.
///
/// # Errors
/// If the groups do not cover the gradients in order.
pub fn global_norm(gradients: &[f32], groups: &[ParameterGroup]) -> Result<f64, TrainError> {
    check_groups(groups, gradients.len())?;
    let trainable = groups.iter().filter(|group| group.trainable);
    let squares: f64 = trainable
        .map(|group| sum_of_squares(&gradients[group.range.clone()]))
        .sum();
    Ok(squares.sqrt())
}

fn change(gradients: &mut [f32], groups: &[ParameterGroup], to: impl Fn(f32) -> f32 + Sync) {
    for group in groups.iter().filter(|group| group.trainable) {
        let gradients = gradients[group.range.clone()].par_chunks_mut(CHUNK);
        gradients.for_each(|chunk| chunk.iter_mut().for_each(|value| *value = to(*value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trainable_gradients_count_and_change() {
        let groups = [
            ParameterGroup::new(0..1).frozen(),
            ParameterGroup::new(1..3),
        ];
        let mut gradients = [100.0, 3.0, -4.0];
        let clipping = GradientClipping::GlobalNorm { limit: 1.0 };
        assert_eq!(clipping.apply(&mut gradients, &groups).unwrap(), 5.0);
        assert_eq!(gradients[0], 100.0);
        assert!((global_norm(&gradients, &groups).unwrap() - 1.0).abs() < 1e-6);
        let unchanged = gradients;
        let clipping = GradientClipping::GlobalNorm { limit: 2.0 };
        clipping.apply(&mut gradients, &groups).unwrap();
        assert_eq!(gradients, unchanged);
    }

    #[test]
    fn a_diverged_step_is_left_to_the_caller() {
        let groups = [ParameterGroup::new(0..2)];
        let mut gradients = [f32::INFINITY, 1.0];
        let norm = GradientClipping::Value { limit: 1.0 }
            .apply(&mut gradients, &groups)
            .unwrap();
        assert!(norm.is_infinite());
        assert_eq!(gradients, [f32::INFINITY, 1.0]);
    }

    #[test]
    fn a_limit_is_above_zero() {
        let groups = [ParameterGroup::new(0..1)];
        for limit in [0.0, -1.0, f64::NAN] {
            let clipping = GradientClipping::GlobalNorm { limit };
            assert!(clipping.apply(&mut [1.0], &groups).is_err());
        }
    }
}
