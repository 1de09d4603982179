//! Hard negatives: of the anchors without an object, only those count whose loss is largest.
//! TensorFlow's `HardExampleMiner` with the loss of the classes.

use mobilenet_detect::anchors::Anchor;
use mobilenet_detect::coder::BoxCoder;
use mobilenet_detect::suppression::{Limits, suppress};
use serde::{Deserialize, Serialize};

/// Which anchors count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HardNegatives {
    /// Anchors without an object for each with one.
    pub ratio: f64,
    /// Of predicted boxes that overlap by more, only the one with the largest loss counts.
    pub overlap: f32,
    /// Most anchors of a photo.
    pub most: usize,
}

impl Default for HardNegatives {
    /// The API's configurations of SSD.
    fn default() -> Self {
        Self {
            ratio: 3.0,
            overlap: 0.99,
            most: 3000,
        }
    }
}

impl HardNegatives {
    /// The anchors of one photo that count, those with the largest losses first.
    ///
    /// `losses` are those of the classes, one for each anchor.
    pub fn select(
        &self,
        losses: &[f32],
        columns: &[u32],
        encodings: &[[f32; 4]],
        anchors: &[Anchor],
        coder: BoxCoder,
    ) -> Vec<usize> {
        let limits = Limits {
            score: f32::NEG_INFINITY,
            overlap: self.overlap,
            most: self.most,
        };
        let decode = |index: usize| coder.decode(encodings[index], anchors[index]);
        let kept = suppress(losses.iter().copied(), decode, &limits);
        let is_positive = |index: usize| columns[index] > 0;
        let positives = kept.iter().filter(|kept| is_positive(kept.0)).count();
        let most = (self.ratio * positives as f64).floor();
        let mut negatives = 0.0;
        let counts = |index: &usize| {
            if is_positive(*index) {
                return true;
            }
            negatives += 1.0;
            negatives <= most
        };
        kept.into_iter()
            .map(|(index, ..)| index)
            .filter(counts)
            .collect()
    }
}
