//! slim's two metrics: Accuracy and Recall_5.

use serde::{Deserialize, Serialize};

/// Index of the largest logit, the first among equals (`tf.argmax`). 0 if there are none.
pub fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = class;
        }
    }
    best
}

/// Whether a label is among the `k` best, by the rule of `tf.math.in_top_k`: fewer than `k` classes
/// have a larger logit. So all classes that tie at the limit count. False if any logit is not
/// finite.
pub fn in_top_k(logits: &[f32], label: usize, k: usize) -> bool {
    let Some(&of_label) = logits.get(label) else {
        return false;
    };
    let better = logits.iter().filter(|&&logit| logit > of_label);
    logits.iter().all(|logit| logit.is_finite()) && better.count() < k
}

/// Streaming Accuracy (the label is the first of the largest logits) and Recall_5 (the label is
/// [`in_top_k`] of 5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    images: u64,
    correct: u64,
    in_top_5: u64,
}

impl Accuracy {
    /// One image.
    pub fn add(&mut self, logits: &[f32], label: usize) {
        self.images += 1;
        self.correct += u64::from(argmax(logits) == label);
        self.in_top_5 += u64::from(in_top_k(logits, label, 5));
    }

    /// Adds the images of another part.
    pub fn merge(&mut self, other: &Self) {
        self.images += other.images;
        self.correct += other.correct;
        self.in_top_5 += other.in_top_5;
    }

    /// Images so far.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Share of images whose label has the largest logit. 0 without images.
    pub fn accuracy(&self) -> f64 {
        self.share(self.correct)
    }

    /// Share of images whose label is among the five best. 0 without images.
    pub fn recall_5(&self) -> f64 {
        self.share(self.in_top_5)
    }

    fn share(&self, count: u64) -> f64 {
        count as f64 / self.images.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[]), 0);
        let mut accuracy = Accuracy::default();
        accuracy.add(&[1.0, 3.0, 3.0], 2);
        accuracy.add(&[1.0, 3.0, 3.0], 1);
        assert_eq!((accuracy.accuracy(), accuracy.recall_5()), (0.5, 1.0));
    }

    #[test]
    fn no_images_are_no_division_by_zero() {
        assert_eq!(Accuracy::default().accuracy(), 0.0);
    }
}
