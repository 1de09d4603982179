//! What the numbers of a network's last layer mean.

use serde::{Deserialize, Serialize};

/// What the numbers of a network's last layer mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Logits of classes that exclude each other: their softmax is a distribution.
    #[default]
    Classes,
    /// Logits of attributes, each of which a photo has or not: their sigmoids are independent.
    Attributes,
    /// A point whose direction counts: cosines say how alike photos are.
    Embedding,
}

impl Head {
    /// Whether it is the usual one, which files need not state.
    pub fn is_classes(&self) -> bool {
        *self == Self::Classes
    }

    /// Probabilities from the logits of each view, `[views, classes]`, averaged over the views. Nothing
    /// where there are no logits, or the numbers are no probabilities' logits.
    pub fn mean_probabilities(self, logits: &[f32], classes: usize) -> Vec<f64> {
        let mut mean = vec![0.0; classes];
        let views = logits.chunks_exact(classes.max(1));
        let share = 1.0 / views.len().max(1) as f64;
        for logits in views {
            let view: Vec<f64> = match self {
                Self::Classes => softmax(logits),
                Self::Attributes => logits.iter().map(|&logit| sigmoid(logit)).collect(),
                Self::Embedding => return Vec::new(),
            };
            for (mean, probability) in mean.iter_mut().zip(view) {
                *mean += share * probability;
            }
        }
        mean
    }
}

/// The probability of an attribute with this logit.
pub fn sigmoid(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = logits.iter().map(|&logit| f64::from(logit - largest).exp());
    let sum: f64 = weights.clone().sum();
    weights.map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_count_alike_however_large_their_logits() {
        let mean = Head::Classes.mean_probabilities(&[100.0, 0.0, 0.0, 0.0], 2);
        assert!((mean[0] - 0.75).abs() < 1e-9 && (mean[1] - 0.25).abs() < 1e-9);
        assert!(Head::Classes.mean_probabilities(&[], 0).is_empty());
    }

    #[test]
    fn attributes_are_independent() {
        let mean = Head::Attributes.mean_probabilities(&[1000.0, -1000.0, 0.0, 0.0], 2);
        assert_eq!(mean, [0.75, 0.25]);
        assert!(
            Head::Embedding
                .mean_probabilities(&[1.0, 2.0], 2)
                .is_empty()
        );
    }
}
