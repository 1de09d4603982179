//! Exponential moving average of weights (`tf.train.ExponentialMovingAverage`). slim's generic
//! trainer can keep one over all model variables, including batch norm's running statistics.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

const CHUNK: usize = 1 << 14;

/// Settings of a moving average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingAverageConfig {
    /// Share of the average that is kept at each step. 0.9999 is usual on ImageNet.
    pub decay: f64,
    /// Use `min(decay, (1 + step) / (10 + step))` as the decay, so that the average soon forgets
    /// the initial values. slim's trainer does so.
    pub ramp: bool,
}

impl MovingAverageConfig {
    /// Share that is kept after `step` steps.
    pub fn decay_at(&self, step: u64) -> f64 {
        if !self.ramp {
            return self.decay;
        }
        let step = step as f64;
        self.decay.min((1.0 + step) / (10.0 + step))
    }
}

/// The average of one flat slice. Weights and running statistics have one each.
#[derive(Debug, Clone)]
pub struct MovingAverage {
    config: MovingAverageConfig,
    average: Vec<f32>,
}

impl MovingAverage {
    /// Starts at the given values: initial ones, or an average from a checkpoint.
    ///
    /// # Errors
    /// If the decay is outside 0 to 1.
    pub fn new(config: MovingAverageConfig, values: Vec<f32>) -> Result<Self, TrainError> {
        if !(0.0..=1.0).contains(&config.decay) {
            return Err(TrainError::Setting {
                setting: "decay of the moving average",
                range: "0 to 1",
                found: config.decay.to_string(),
            });
        }
        Ok(Self {
            config,
            average: values,
        })
    }

    /// The average of some of the values.
    pub(crate) fn slice(&self, range: Range<usize>) -> Result<Self, TrainError> {
        self.with(self.average[range].to_vec())
    }

    /// The average with other values.
    pub(crate) fn with(&self, values: Vec<f32>) -> Result<Self, TrainError> {
        Self::new(self.config, values)
    }

    /// Moves the average towards the values after a step. `step` is the number of steps done
    /// (TensorFlow's `num_updates`, for which slim's trainer passes the global step).
    ///
    /// # Errors
    /// If the number of values differs from that at the start.
    pub fn update(&mut self, values: &[f32], step: u64) -> Result<(), TrainError> {
        TrainError::check_length("the moving average", self.average.len(), values.len())?;
        let share = (1.0 - self.config.decay_at(step)) as f32;
        let chunks = self.average.par_chunks_mut(CHUNK);
        chunks
            .zip(values.par_chunks(CHUNK))
            .for_each(|(averages, values)| {
                for (average, value) in averages.iter_mut().zip(values) {
                    *average -= (*average - value) * share;
                }
            });
        Ok(())
    }

    /// The average.
    pub fn values(&self) -> &[f32] {
        &self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let config = |decay| MovingAverageConfig { decay, ramp: false };
        for decay in [-0.1, 1.1, f64::NAN] {
            assert!(MovingAverage::new(config(decay), vec![0.0]).is_err());
        }
        let mut average = MovingAverage::new(config(0.5), vec![0.0, 2.0]).unwrap();
        assert!(average.update(&[1.0], 1).is_err());
        average.update(&[1.0, 1.0], 1).unwrap();
        assert_eq!(average.values(), [0.5, 1.5]);
    }
}
