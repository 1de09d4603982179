//! Metrics of an evaluation: slim's Accuracy and Recall_5, the confusion matrix with metrics of
//! each class, and the images with the highest loss. Memory does not grow with the number of
//! images. Also average precision of attributes, and verification of pairs.

mod accuracy;
mod average_precision;
mod confusion_matrix;
mod most_wrong;
mod verification;

pub use accuracy::{Accuracy, argmax, in_top_k};
pub use average_precision::{
    AttributeMetrics, average_precision, mean_average_precision, worst_first,
};
pub use confusion_matrix::{ClassMetrics, ConfusionMatrix};
pub use most_wrong::{MostWrong, WrongImage};
pub use verification::Verification;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::loss::{check_labels, check_rows, softmax};

/// All metrics of one pass over labelled images.
///
/// ```
/// use mobilenet_train::metrics::Evaluation;
///
/// let mut evaluation = Evaluation::new(3, 10);
/// evaluation.add(&[0, 1], &[0.0, 2.0, 1.0, 5.0, 0.0, 0.0], &[1, 2])?;
/// assert_eq!(evaluation.accuracy().accuracy(), 0.5);
/// assert_eq!(evaluation.most_wrong()[0].image, 1);
/// # Ok::<(), mobilenet_train::TrainError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evaluation {
    classes: usize,
    accuracy: Accuracy,
    confusion: ConfusionMatrix,
    most_wrong: MostWrong,
    #[serde(with = "crate::bits")]
    loss: f64,
    /// Memory for the softmax of an image.
    #[serde(skip)]
    probabilities: Vec<f32>,
}

impl Evaluation {
    /// Metrics for `classes` classes. Keeps the `worst` images with the highest loss.
    pub fn new(classes: usize, worst: usize) -> Self {
        Self {
            classes,
            accuracy: Accuracy::default(),
            confusion: ConfusionMatrix::new(classes),
            most_wrong: MostWrong::new(worst),
            loss: 0.0,
            probabilities: Vec::new(),
        }
    }

    /// Adds a batch: numbers of the images in their data set, logits `[B, classes]`, labels.
    ///
    /// # Errors
    /// If lengths do not agree, or a label is not a class. Nothing is counted then.
    pub fn add(
        &mut self,
        images: &[usize],
        logits: &[f32],
        labels: &[u32],
    ) -> Result<(), TrainError> {
        let batch = check_rows("logits", logits, self.classes)?;
        check_labels(labels, batch, self.classes)?;
        TrainError::check_length("image numbers", batch, images.len())?;
        self.probabilities.resize(self.classes, 0.0);
        let rows = logits.chunks(self.classes).zip(labels).zip(images);
        for ((logits, &label), &image) in rows {
            let label = label as usize;
            let predicted = argmax(logits);
            self.accuracy.add(logits, label);
            self.confusion.add(label, predicted);
            let log_sum = softmax(logits, 1.0, &mut self.probabilities);
            let loss = log_sum - f64::from(logits[label]);
            self.loss += loss;
            self.most_wrong.add(WrongImage {
                image,
                label,
                predicted,
                probability: self.probabilities[predicted],
                loss,
            });
        }
        Ok(())
    }

    /// Adds the images of another part of the data. Counts are exact.
    ///
    /// # Errors
    /// If it has another number of classes. Nothing is counted then.
    pub fn merge(&mut self, other: &Self) -> Result<(), TrainError> {
        let (expected, found) = (self.confusion.classes(), other.confusion.classes());
        TrainError::check_length("classes of a part", expected, found)?;
        self.accuracy.merge(&other.accuracy);
        self.confusion.merge(&other.confusion);
        let worst = other.most_wrong.images();
        worst.iter().for_each(|image| self.most_wrong.add(*image));
        self.loss += other.loss;
        Ok(())
    }

    /// Accuracy and Recall_5.
    pub fn accuracy(&self) -> &Accuracy {
        &self.accuracy
    }

    /// Mean cross-entropy, without smoothing or L2. 0 without images.
    pub fn loss(&self) -> f64 {
        self.loss / self.accuracy.images().max(1) as f64
    }

    /// Counts of images by label and prediction.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// The images with the highest loss, worst first.
    pub fn most_wrong(&self) -> &[WrongImage] {
        self.most_wrong.images()
    }
}
