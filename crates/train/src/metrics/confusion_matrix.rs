//! The confusion matrix, and precision, recall and F1 of each class.

use serde::{Deserialize, Serialize};

/// Counts of images by label and prediction, part of an [`Evaluation`](super::Evaluation).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    classes: usize,
    /// Rows are labels, columns predictions.
    counts: Vec<u64>,
}

/// Metrics of one class against all others. A division by zero gives 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassMetrics {
    /// Images with this label.
    pub images: u64,
    /// Share of the predictions of this class that are right.
    pub precision: f64,
    /// Share of the images of this class that are predicted as it.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

impl ConfusionMatrix {
    /// Without images.
    pub(super) fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Adds an image. The evaluation has checked that both numbers are classes.
    pub(super) fn add(&mut self, label: usize, predicted: usize) {
        self.counts[label * self.classes + predicted] += 1;
    }

    /// Adds the images of another part, which has as many classes.
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of images with this label and prediction. 0 if one of the two is not a class.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        if label.max(predicted) >= self.classes {
            return 0;
        }
        self.counts[label * self.classes + predicted]
    }

    /// Metrics of every class.
    pub fn class_metrics(&self) -> Vec<ClassMetrics> {
        (0..self.classes).map(|class| self.metrics(class)).collect()
    }

    fn metrics(&self, class: usize) -> ClassMetrics {
        let right = self.count(class, class);
        let images = self.labelled(class);
        let predicted = self.predicted(class);
        let share = |count: u64, of: u64| count as f64 / of.max(1) as f64;
        ClassMetrics {
            images,
            precision: share(right, predicted),
            recall: share(right, images),
            f1: share(2 * right, images + predicted),
        }
    }

    fn labelled(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|other| self.count(class, other))
            .sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|other| self.count(other, class))
            .sum()
    }

    /// At most `limit` classes to show, in class order: those with the most mistakes (missed images
    /// and wrong predictions) among the classes that occur.
    pub fn most_confused(&self, limit: usize) -> Vec<usize> {
        let mut classes: Vec<(u64, usize)> = (0..self.classes)
            .map(|class| (self.labelled(class) + self.predicted(class), class))
            .filter(|&(occurrences, _)| occurrences > 0)
            .map(|(occurrences, class)| (occurrences - 2 * self.count(class, class), class))
            .collect();
        classes.sort_by_key(|&(mistakes, class)| (std::cmp::Reverse(mistakes), class));
        classes.truncate(limit);
        let mut classes: Vec<usize> = classes.into_iter().map(|(_, class)| class).collect();
        classes.sort_unstable();
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_confused_classes_are_shown() {
        let mut matrix = ConfusionMatrix::new(5);
        for (label, predicted, times) in [(1, 1, 9), (2, 3, 2), (3, 3, 4), (4, 1, 1)] {
            (0..times).for_each(|_| matrix.add(label, predicted));
        }
        assert_eq!(matrix.most_confused(10), [1, 2, 3, 4]);
        assert_eq!(matrix.most_confused(2), [2, 3]);
        assert_eq!(matrix.most_confused(3), [1, 2, 3]);
        assert_eq!(matrix.count(2, 3), 2);
        assert_eq!(matrix.count(2, 5), 0);
    }
}
