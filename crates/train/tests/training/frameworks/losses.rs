//! Compares losses and their gradients with TensorFlow and PyTorch (`golden/losses.py`).

use crate::support::{close, golden};
use mobilenet_train::loss::{Distillation, Loss, softmax_cross_entropy, squared_difference};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    classes: usize,
    logits: Vec<f32>,
    teacher: Vec<f32>,
    labels: Vec<u32>,
    cross_entropy: Vec<CrossEntropy>,
    distillation: Vec<Distilled>,
    squared_difference: Expected,
}

/// A loss, as another framework has it.
#[derive(Deserialize)]
pub(crate) struct Expected {
    examples: Vec<f64>,
    mean: f64,
    gradient: Vec<f32>,
}

impl Expected {
    pub(crate) fn check(&self, what: &str, loss: &Loss, gradient: &[f32]) {
        close(what, &loss.examples, &self.examples, 1e-6);
        close(what, &[loss.mean], &[self.mean], 1e-6);
        close(what, gradient, &self.gradient, 1e-5);
    }
}

#[derive(Deserialize)]
struct CrossEntropy {
    label_smoothing: f64,
    #[serde(flatten)]
    torch: Expected,
    tensorflow_mean: f64,
    tensorflow_gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct Distilled {
    config: Distillation,
    #[serde(flatten)]
    torch: Expected,
}

#[test]
fn cross_entropy_with_label_smoothing() {
    let golden: Golden = golden("losses.json");
    assert_eq!(golden.cross_entropy.len(), 3);
    for expected in &golden.cross_entropy {
        let smoothing = expected.label_smoothing;
        // The old values of the gradient do not matter.
        let mut gradient = vec![f32::NAN; golden.logits.len()];
        let loss = softmax_cross_entropy(
            &golden.logits,
            &golden.labels,
            golden.classes,
            smoothing,
            &mut gradient,
        )
        .unwrap();
        let what = format!("label smoothing {smoothing}");
        expected.torch.check(&what, &loss, &gradient);
        close(&what, &[loss.mean], &[expected.tensorflow_mean], 1e-5);
        close(&what, &gradient, &expected.tensorflow_gradient, 1e-5);
    }
}

#[test]
fn distillation() {
    let golden: Golden = golden("losses.json");
    assert_eq!(golden.distillation.len(), 3);
    for expected in &golden.distillation {
        let mut gradient = vec![f32::NAN; golden.logits.len()];
        let loss = expected
            .config
            .loss(
                &golden.logits,
                &golden.teacher,
                Some(&golden.labels),
                golden.classes,
                &mut gradient,
            )
            .unwrap();
        let what = format!("{:?}", expected.config);
        expected.torch.check(&what, &loss, &gradient);
    }
}

#[test]
fn squared_difference_of_embeddings() {
    let golden: Golden = golden("losses.json");
    let mut gradient = vec![f32::NAN; golden.logits.len()];
    let loss = squared_difference(
        &golden.logits,
        &golden.teacher,
        golden.classes,
        &mut gradient,
    )
    .unwrap();
    golden
        .squared_difference
        .check("squared difference", &loss, &gradient);
}
