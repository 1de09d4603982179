//! The best classes of an image, with probabilities and names.

use serde::Serialize;

use crate::labels::Labels;

/// A class and its probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Number in the weights' own numbering. With 1001 ImageNet classes, 0 is the background.
    pub class: usize,
    /// Name, if it is known.
    pub label: Option<String>,
    /// Softmax over all classes.
    pub probability: f32,
}

/// Softmax of each view's logits, `[views, classes]`, averaged over the views. Nothing where there
/// are no logits.
pub fn mean_probabilities(logits: &[f32], classes: usize) -> Vec<f64> {
    let mut mean = vec![0.0; classes];
    let views = logits.chunks_exact(classes.max(1));
    let share = 1.0 / views.len().max(1) as f64;
    for logits in views {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights = logits.iter().map(|&logit| f64::from(logit - largest).exp());
        let sum: f64 = weights.clone().sum();
        for (mean, weight) in mean.iter_mut().zip(weights) {
            *mean += share * (weight / sum);
        }
    }
    mean
}

/// The `top` best classes of one photo, best first; of equals the lower number.
pub fn predictions(probabilities: &[f64], labels: &Labels, top: usize) -> Vec<Prediction> {
    let classes = probabilities.len();
    let mut order: Vec<usize> = (0..classes).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order
        .into_iter()
        .take(top)
        .map(|class| Prediction {
            class,
            label: labels.name(class, classes).map(str::to_string),
            probability: probabilities[class] as f32,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first_and_equals_in_order() {
        let labels = Labels::Names(["a", "b", "c", "d"].map(String::from).to_vec());
        let logits = [1.0, 3.0, 1.0, -1000.0];
        let found = predictions(&mean_probabilities(&logits, 4), &labels, 3);
        let classes: Vec<usize> = found.iter().map(|p| p.class).collect();
        assert_eq!(classes, [1, 0, 2]);
        assert_eq!(found[0].label.as_deref(), Some("b"));
        let e2 = 2f32.exp();
        assert!((found[0].probability - e2 / (e2 + 2.0)).abs() < 1e-6);
        assert_eq!(predictions(&[1.0], &Labels::Unknown, 5).len(), 1);
    }

    #[test]
    fn views_count_alike_however_large_their_logits() {
        let mean = mean_probabilities(&[100.0, 0.0, 0.0, 0.0], 2);
        assert!((mean[0] - 0.75).abs() < 1e-9 && (mean[1] - 0.25).abs() < 1e-9);
        assert!(mean_probabilities(&[], 0).is_empty());
    }
}
