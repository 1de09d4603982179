//! Staircase exponential decay, the schedule of slim's scripts.

use serde::{Deserialize, Serialize};

/// Number of ImageNet images in `mobilenet_v1_train.py`. The data set has 1,281,167, so this is a
/// typing error of one digit. We keep it, because the published recipe is what the script does.
const SLIM_IMAGENET_SIZE: u64 = 1_271_167;

/// A rate that is multiplied by a factor at fixed intervals (TensorFlow's `exponential_decay` with
/// `staircase=True`).
///
/// ```
/// use mobilenet_train::schedule::ExponentialDecay;
///
/// let schedule = ExponentialDecay::slim(64);
/// assert_eq!(schedule.learning_rate(0), 0.045);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExponentialDecay {
    /// Rate of the first step.
    pub initial: f64,
    /// The factor.
    pub factor: f64,
    /// Number of steps between multiplications.
    pub steps: u64,
}

impl ExponentialDecay {
    /// `mobilenet_v1_train.py`: 0.045, times 0.94 every 2.5 epochs of ImageNet.
    pub fn slim(batch_size: u64) -> Self {
        Self {
            initial: 0.045,
            factor: 0.94,
            steps: steps(2.5, SLIM_IMAGENET_SIZE, batch_size),
        }
    }

    /// The same script with a checkpoint to start from: 0.0001.
    pub fn slim_fine_tuning(batch_size: u64) -> Self {
        Self {
            initial: 1e-4,
            ..Self::slim(batch_size)
        }
    }

    /// `train_image_classifier.py`: 0.01, times 0.94 every 2 epochs of any data set.
    pub fn slim_generic(images: u64, batch_size: u64) -> Self {
        Self {
            initial: 0.01,
            factor: 0.94,
            steps: steps(2.0, images, batch_size),
        }
    }

    /// Rate of a step, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let times = step / self.steps.max(1);
        self.initial * self.factor.powf(times as f64)
    }
}

/// `int(images / batch_size * epochs)`.
fn steps(epochs: f64, images: u64, batch_size: u64) -> u64 {
    (images as f64 / batch_size.max(1) as f64 * epochs) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slims_schedule_at_batch_64() {
        let schedule = ExponentialDecay::slim(64);
        assert_eq!(schedule.learning_rate(49_653), 0.045);
        assert!((schedule.learning_rate(49_654) - 0.0423).abs() < 1e-12);
        assert!((schedule.learning_rate(2 * 49_654) - 0.039_762).abs() < 1e-12);
    }

    #[test]
    fn fine_tuning_starts_lower() {
        assert_eq!(
            ExponentialDecay::slim_fine_tuning(32).learning_rate(0),
            1e-4
        );
    }

    #[test]
    fn the_generic_trainer_counts_its_own_images() {
        let schedule = ExponentialDecay::slim_generic(60_000, 32);
        assert_eq!(schedule.steps, 3_750);
        assert_eq!(schedule.learning_rate(3_749), 0.01);
        assert!((schedule.learning_rate(3_750) - 0.0094).abs() < 1e-12);
    }
}
