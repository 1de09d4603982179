//! Losses of a batch on plain slices: the mean over examples, and its gradient with respect to the
//! network's output. Sums are in f64. Logarithms of sums of exponentials cannot overflow. Logits
//! that are not finite give a loss that is not finite, but no panic.

mod cross_entropy;
mod distillation;
mod embedding;
mod sigmoid;

pub use cross_entropy::softmax_cross_entropy;
pub use distillation::{Distillation, squared_difference};
pub use embedding::{contrastive, direction_difference};
pub use sigmoid::sigmoid_cross_entropy;

use crate::error::TrainError;

/// A batch's loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Mean over the examples. 0 if there are none.
    pub mean: f64,
    /// Loss of each example.
    pub examples: Vec<f64>,
}

impl Loss {
    fn new(examples: Vec<f64>) -> Self {
        // In the order of the examples, whatever the number of threads.
        let sum: f64 = examples.iter().sum();
        Self {
            mean: sum / examples.len().max(1) as f64,
            examples,
        }
    }
}

/// Number of examples in `outputs`, with `width` values each. The gradient must be as long.
fn examples(
    what: &str,
    outputs: &[f32],
    width: usize,
    gradient: &[f32],
) -> Result<usize, TrainError> {
    let examples = check_rows(what, outputs, width)?;
    TrainError::check_length("gradient", outputs.len(), gradient.len())?;
    Ok(examples)
}

/// Number of examples in `outputs`, with `width` values each.
pub(crate) fn check_rows(what: &str, outputs: &[f32], width: usize) -> Result<usize, TrainError> {
    if width == 0 || !outputs.len().is_multiple_of(width) {
        return Err(TrainError::Length {
            what: format!("{what} (in whole rows)"),
            expected: width * outputs.len().div_ceil(width.max(1)),
            found: outputs.len(),
        });
    }
    Ok(outputs.len() / width)
}

/// Checks that there is one label per example, and that labels are classes.
pub(crate) fn check_labels(
    labels: &[u32],
    examples: usize,
    classes: usize,
) -> Result<(), TrainError> {
    TrainError::check_length("labels", examples, labels.len())?;
    let wrong = labels.iter().position(|&label| label as usize >= classes);
    wrong.map_or(Ok(()), |example| {
        Err(TrainError::Label {
            example,
            classes,
            found: labels[example],
        })
    })
}

/// Writes softmax of `logits * scale` and returns the logarithm of the sum of exponentials.
pub(crate) fn softmax(logits: &[f32], scale: f64, probabilities: &mut [f32]) -> f64 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let largest = f64::from(largest);
    let mut sum = 0.0;
    for (probability, &logit) in probabilities.iter_mut().zip(logits) {
        let exponential = ((f64::from(logit) - largest) * scale).exp();
        sum += exponential;
        *probability = exponential as f32;
    }
    let scale_to_one = (1.0 / sum) as f32;
    for probability in probabilities {
        *probability *= scale_to_one;
    }
    largest * scale + sum.ln()
}
