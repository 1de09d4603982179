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
    /// Its probability: by softmax over all classes, or by the sigmoid of an attribute.
    pub probability: f32,
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
    use crate::head::Head;

    #[test]
    fn best_first_and_equals_in_order() {
        let labels = Labels::Names(["a", "b", "c", "d"].map(String::from).to_vec());
        let logits = [1.0, 3.0, 1.0, -1000.0];
        let found = predictions(&Head::Classes.mean_probabilities(&logits, 4), &labels, 3);
        let classes: Vec<usize> = found.iter().map(|p| p.class).collect();
        assert_eq!(classes, [1, 0, 2]);
        assert_eq!(found[0].label.as_deref(), Some("b"));
        let e2 = 2f32.exp();
        assert!((found[0].probability - e2 / (e2 + 2.0)).abs() < 1e-6);
        assert_eq!(predictions(&[1.0], &Labels::Unknown, 5).len(), 1);
    }
}
