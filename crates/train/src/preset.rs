//! Recipes for the usual cases, to use or to change.

use crate::augment::{Augmentation, Border};
use crate::detection::settings::DetectionSettings;
use crate::moving_average::MovingAverageConfig;
use crate::optimizer::{GradientClipping, OptimizerConfig};
use crate::recipe::{Recipe, Target};
use crate::schedule::{Cosine, Schedule};

/// Decay of batch normalisation's running statistics in runs of a few thousand steps.
const SHORT_BATCH_NORM_DECAY: f64 = 0.99;

/// Decay in runs of a few hundred steps, which must soon forget the statistics of the old photos.
const FINE_TUNING_BATCH_NORM_DECAY: f64 = 0.9;

fn nesterov() -> OptimizerConfig {
    OptimizerConfig::Momentum {
        momentum: 0.9,
        nesterov: true,
    }
}

fn cosine(learning_rate: f64, warm_up_steps: u64, total_steps: u64) -> Schedule {
    Schedule::Cosine(Cosine {
        initial: learning_rate,
        warm_up_steps,
        total_steps,
        end: 0.0,
    })
}

impl Recipe {
    /// Fashion-MNIST from scratch for `epochs` epochs. With width 0.25 and 20 epochs, this is the
    /// recipe of the weights embedded in the facade. See docs/recipes/fashion_mnist.md.
    pub fn fashion_mnist(epochs: u64) -> Self {
        let (batch_size, resolution) = (128, 96);
        let steps_per_epoch = 60_000 / batch_size as u64;
        let steps = epochs * steps_per_epoch;
        Self {
            batch_size,
            resolution,
            optimizer: nesterov(),
            schedule: cosine(0.3, steps_per_epoch, steps),
            weight_decay: 1e-4,
            batch_norm_decay: SHORT_BATCH_NORM_DECAY,
            moving_average: Some(MovingAverageConfig {
                decay: 0.999,
                ramp: true,
            }),
            augmentation: Augmentation::CropFlip {
                padding: 4,
                border: Border::Zero,
            },
            target: Target::Labels {
                label_smoothing: 0.05,
            },
            ..Self::slim(steps)
        }
    }

    /// Photos from scratch.
    pub fn photos(steps: u64, steps_per_epoch: u64, batch_size: usize, resolution: usize) -> Self {
        let rate = 0.1 * batch_size as f64 / 128.0;
        Self {
            batch_size,
            resolution,
            optimizer: nesterov(),
            schedule: cosine(rate, steps_per_epoch, steps),
            batch_norm_decay: SHORT_BATCH_NORM_DECAY,
            augmentation: Augmentation::Mild,
            target: Target::Labels {
                label_smoothing: 0.1,
            },
            ..Self::slim(steps)
        }
    }

    /// A detector, from a classifier's weights.
    pub fn detection(
        steps: u64,
        steps_per_epoch: u64,
        batch_size: usize,
        resolution: usize,
    ) -> Self {
        let rate = 0.02 * batch_size as f64 / 16.0;
        Self {
            schedule: cosine(rate, steps_per_epoch.min(steps / 4), steps),
            clipping: Some(GradientClipping::GlobalNorm { limit: 10.0 }),
            detection: Some(DetectionSettings::default()),
            ..Self::fine_tuning(steps, steps_per_epoch, batch_size, resolution)
        }
    }

    /// Photos, from trained weights.
    pub fn fine_tuning(
        steps: u64,
        steps_per_epoch: u64,
        batch_size: usize,
        resolution: usize,
    ) -> Self {
        let rate = 0.01 * batch_size as f64 / 32.0;
        Self {
            schedule: cosine(rate, steps_per_epoch, steps),
            batch_norm_decay: FINE_TUNING_BATCH_NORM_DECAY,
            moving_average: Some(MovingAverageConfig {
                decay: 0.98,
                ramp: true,
            }),
            ..Self::photos(steps, steps_per_epoch, batch_size, resolution)
        }
    }
}
