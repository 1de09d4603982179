//! The settings of a detector's training that other trainings do not have.

use serde::{Deserialize, Serialize};

use super::augment::DetectionAugmentation;
use super::loss::DetectorLoss;

/// Overlap of an anchor and its object in TensorFlow's configurations.
const OVERLAP: f32 = 0.5;

/// How a detector is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectionSettings {
    /// The loss.
    pub loss: DetectorLoss,
    /// Least overlap of an anchor and its object.
    pub overlap: f32,
    /// Random changes of the photos.
    pub augmentation: DetectionAugmentation,
}

impl Default for DetectionSettings {
    /// TensorFlow's configuration of SSD of 2017.
    fn default() -> Self {
        Self {
            loss: DetectorLoss::default(),
            overlap: OVERLAP,
            augmentation: DetectionAugmentation::default(),
        }
    }
}
