//! The loss of a single-shot detector and its gradients, as TensorFlow's Object Detection API has it.
//!
//! ```text
//! classes   sigmoid cross entropy of each column, with hard negatives; or focal loss of all anchors
//! boxes     smooth L1 of the encodings' differences, for anchors with an object
//! loss      (sum of the classes' losses + sum of the boxes') / anchors with an object in the batch
//! ```

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::mining::HardNegatives;
use super::targets::{Matcher, Targets};
use crate::error::TrainError;

/// Which loss classes have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum ClassLoss {
    /// Cross entropy of the anchors that count.
    HardNegatives(HardNegatives),
    /// Cross entropy of all anchors, weighted so that those which are right already count little.
    Focal {
        /// Weight of columns that should be 1; the others have `1 - alpha`.
        alpha: f64,
        /// Exponent of the distance from what should be.
        gamma: f64,
    },
}

impl ClassLoss {
    /// The focal loss of the API's configurations of 2018.
    pub const FOCAL: Self = Self::Focal {
        alpha: 0.75,
        gamma: 2.0,
    };
}

/// The loss of a detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectorLoss {
    /// The loss of the classes.
    pub classes: ClassLoss,
    /// Whether the column of the background should be 1 where no object is. Otherwise it should
    /// always be 0, and no object means that all columns are 0.
    pub learns_background: bool,
    /// Factor of the boxes' loss; with focal loss TensorFlow has 1/4.
    pub box_weight: f64,
}

impl Default for DetectorLoss {
    /// With hard negatives.
    fn default() -> Self {
        Self {
            classes: ClassLoss::HardNegatives(HardNegatives::default()),
            learns_background: true,
            box_weight: 1.0,
        }
    }
}

/// The loss of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchLoss {
    /// Of the classes.
    pub classes: f64,
    /// Of the boxes.
    pub boxes: f64,
    /// Anchors with an object.
    pub positives: usize,
}

impl BatchLoss {
    /// Of classes and boxes together.
    pub fn total(&self) -> f64 {
        self.classes + self.boxes
    }
}

/// What the network predicts for a batch, or the gradients of that: `[batch, anchors, columns]` and
/// `[batch, anchors]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Predictions {
    /// Of the classes' columns, before the logistic function.
    pub scores: Vec<f32>,
    /// Of the boxes.
    pub encodings: Vec<[f32; 4]>,
}

impl Predictions {
    /// Zeros.
    pub fn zeros(batch: usize, anchors: usize, columns: usize) -> Self {
        Self {
            scores: vec![0.0; batch * anchors * columns],
            encodings: vec![[0.0; 4]; batch * anchors],
        }
    }
}

impl DetectorLoss {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the setting that is outside its range.
    pub fn check(&self) -> Result<(), TrainError> {
        let settings = match self.classes {
            ClassLoss::HardNegatives(hard) => [
                ("negatives for each positive", hard.ratio),
                ("overlap of negatives", f64::from(hard.overlap)),
            ],
            ClassLoss::Focal { alpha, gamma } => [("focal alpha", alpha), ("focal gamma", gamma)],
        };
        let all = settings
            .into_iter()
            .chain([("weight of the boxes", self.box_weight)]);
        for (setting, found) in all {
            if !(0.0..=1e6).contains(&found) {
                return Err(TrainError::Setting {
                    setting,
                    range: "at least 0, and finite",
                    found: found.to_string(),
                });
            }
        }
        Ok(())
    }

    /// The loss of a batch, and its gradient with respect to the predictions.
    ///
    /// # Errors
    /// If lengths do not go together.
    pub fn of_batch(
        &self,
        matcher: &Matcher,
        targets: &[Targets],
        predictions: &Predictions,
        gradients: &mut Predictions,
    ) -> Result<BatchLoss, TrainError> {
        let anchors = matcher.anchors().len();
        let rows = targets.len() * anchors;
        let columns = predictions.scores.len() / rows.max(1);
        TrainError::check_length("scores", rows * columns, predictions.scores.len())?;
        TrainError::check_length("encodings", rows, predictions.encodings.len())?;
        for targets in targets {
            TrainError::check_length("targets", anchors, targets.columns.len())?;
            TrainError::check_length("targets of boxes", anchors, targets.encodings.len())?;
            let wrong = targets
                .columns
                .iter()
                .position(|&column| column as usize >= columns);
            if let Some(example) = wrong {
                return Err(TrainError::Label {
                    example,
                    classes: columns,
                    found: targets.columns[example],
                });
            }
        }
        *gradients = Predictions::zeros(targets.len(), anchors, columns);
        let positives: usize = targets.iter().map(Targets::positives).sum();
        let factor = 1.0 / positives.max(1) as f64;
        let width = (anchors * columns).max(1);
        // One photo after the other is added, whatever the number of threads.
        let losses: Vec<[f64; 2]> = (targets.par_iter())
            .zip(predictions.scores.par_chunks_exact(width))
            .zip(predictions.encodings.par_chunks_exact(anchors.max(1)))
            .zip(gradients.scores.par_chunks_exact_mut(width))
            .zip(gradients.encodings.par_chunks_exact_mut(anchors.max(1)))
            .map(
                |((((targets, scores), encodings), score_gradients), encoding_gradients)| {
                    let photo = Photo {
                        loss: self,
                        targets,
                        columns,
                        scores,
                        encodings,
                    };
                    photo.loss(matcher, factor, score_gradients, encoding_gradients)
                },
            )
            .collect();
        let sum = |index: usize| losses.iter().map(|losses| losses[index]).sum::<f64>() * factor;
        Ok(BatchLoss {
            classes: sum(0),
            boxes: sum(1),
            positives,
        })
    }
}

/// Targets and predictions of one photo.
struct Photo<'a> {
    loss: &'a DetectorLoss,
    targets: &'a Targets,
    columns: usize,
    scores: &'a [f32],
    encodings: &'a [[f32; 4]],
}

impl Photo<'_> {
    /// The sums of the losses of classes and boxes, and the gradients times a factor.
    fn loss(
        &self,
        matcher: &Matcher,
        factor: f64,
        score_gradients: &mut [f32],
        encoding_gradients: &mut [[f32; 4]],
    ) -> [f64; 2] {
        let anchors = self.targets.columns.len();
        let counting = match self.loss.classes {
            ClassLoss::Focal { .. } => (0..anchors).collect(),
            ClassLoss::HardNegatives(hard) => {
                let of = |index| self.columns_of(index).map(|column| column.0).sum::<f64>() as f32;
                let losses: Vec<f32> = (0..anchors).map(of).collect();
                let columns = &self.targets.columns;
                hard.select(
                    &losses,
                    columns,
                    self.encodings,
                    matcher.anchors(),
                    matcher.coder(),
                )
            }
        };
        let mut sums = [0.0; 2];
        for index in counting {
            let gradients = score_gradients.chunks_exact_mut(self.columns).nth(index);
            for ((loss, slope), gradient) in
                self.columns_of(index).zip(gradients.into_iter().flatten())
            {
                sums[0] += loss;
                *gradient = (factor * slope) as f32;
            }
            if self.targets.columns[index] == 0 {
                continue;
            }
            let (found, wanted) = (self.encodings[index], self.targets.encodings[index]);
            for (side, gradient) in encoding_gradients[index].iter_mut().enumerate() {
                let (loss, slope) = smooth_l1(f64::from(found[side]) - f64::from(wanted[side]));
                sums[1] += self.loss.box_weight * loss;
                *gradient = (factor * self.loss.box_weight * slope) as f32;
            }
        }
        sums
    }

    /// Loss and slope of each column of an anchor.
    fn columns_of(&self, index: usize) -> impl Iterator<Item = (f64, f64)> {
        let right = self.targets.columns[index] as usize;
        let scores = &self.scores[index * self.columns..][..self.columns];
        let background = self.loss.learns_background;
        scores.iter().enumerate().map(move |(column, &score)| {
            let target = column == right && (right > 0 || background);
            let score = f64::from(score);
            match self.loss.classes {
                ClassLoss::HardNegatives(_) => cross_entropy(score, target),
                ClassLoss::Focal { alpha, gamma } => focal(score, target, alpha, gamma),
            }
        })
    }
}

/// Sigmoid cross entropy of a score, and its slope.
pub fn cross_entropy(score: f64, target: bool) -> (f64, f64) {
    // The logarithm of 1 + exp(score), of the side that cannot overflow.
    let towards = if target { -score } else { score };
    let loss = towards.max(0.0) + (-towards.abs()).exp().ln_1p();
    (loss, sigmoid(score) - f64::from(u8::from(target)))
}

/// Focal loss of a score, and its slope.
pub fn focal(score: f64, target: bool, alpha: f64, gamma: f64) -> (f64, f64) {
    let (weight, sign) = if target {
        (alpha, 1.0)
    } else {
        (1.0 - alpha, -1.0)
    };
    let (loss, _) = cross_entropy(score, target);
    // The probability of what should be, and the distance from it.
    let (right, wrong) = (sigmoid(sign * score), sigmoid(-sign * score));
    let modulated = weight * wrong.powf(gamma);
    (
        modulated * loss,
        sign * modulated * (-gamma * right * loss - wrong),
    )
}

/// Smooth L1 of a difference, and its slope: a parabola within 1, straight beyond.
pub fn smooth_l1(difference: f64) -> (f64, f64) {
    let size = difference.abs();
    match size < 1.0 {
        true => (0.5 * size * size, difference),
        false => (size - 0.5, difference.signum()),
    }
}

fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}
