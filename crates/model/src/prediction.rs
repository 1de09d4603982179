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

/// The `top` best classes of one image, best first. Among equals, the lower number comes first.
pub fn predictions(logits: &[f32], labels: &Labels, top: usize) -> Vec<Prediction> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits
        .iter()
        .map(|&logit| f64::from(logit - largest).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
        .into_iter()
        .take(top)
        .map(|class| Prediction {
            class,
            label: labels.name(class, logits.len()).map(str::to_string),
            probability: (weights[class] / sum) as f32,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first_and_equals_in_order() {
        let labels = Labels::Names(["a", "b", "c", "d"].map(String::from).to_vec());
        let found = predictions(&[1.0, 3.0, 1.0, -1000.0], &labels, 3);
        let classes: Vec<usize> = found.iter().map(|p| p.class).collect();
        assert_eq!(classes, [1, 0, 2]);
        assert_eq!(found[0].label.as_deref(), Some("b"));
        let e2 = 2f32.exp();
        assert!((found[0].probability - e2 / (e2 + 2.0)).abs() < 1e-6);
        assert_eq!(predictions(&[1.0], &Labels::Unknown, 5).len(), 1);
    }
}
