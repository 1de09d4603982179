//! Sigmoid cross-entropy of attributes, with targets from 0 to 1.

use mobilenet_model::head::sigmoid;
use rayon::prelude::*;

use super::{Loss, examples};
use crate::error::TrainError;

/// Cross-entropy of logits `[B, attributes]` with probabilities, as TensorFlow's
/// `sigmoid_cross_entropy_with_logits`: the mean over the attributes of each example (section 4.5 of the
/// paper: attributes of faces, learnt from a teacher's probabilities). A target that is NaN is not known
/// and counts as learnt.
///
/// Writes the gradient of the mean loss with respect to the logits to `gradient`.
///
/// # Errors
/// If lengths do not agree.
pub fn sigmoid_cross_entropy(
    logits: &[f32],
    targets: &[f32],
    attributes: usize,
    gradient: &mut [f32],
) -> Result<Loss, TrainError> {
    let batch = examples("logits", logits, attributes, gradient)?;
    TrainError::check_length("targets", logits.len(), targets.len())?;
    let share = 1.0 / attributes as f64;
    let scale = share / batch as f64;
    let rows = gradient
        .par_chunks_mut(attributes)
        .zip(logits.par_chunks(attributes))
        .zip(targets.par_chunks(attributes));
    let losses = rows.map(|((gradient, logits), targets)| {
        let mut loss = 0.0;
        for ((gradient, &logit), &target) in gradient.iter_mut().zip(logits).zip(targets) {
            if target.is_nan() {
                *gradient = 0.0;
                continue;
            }
            let (x, target) = (f64::from(logit), f64::from(target));
            // NaN must stay, which `max` would drop.
            let positive = if x < 0.0 { 0.0 } else { x };
            loss += positive - x * target + (-x.abs()).exp().ln_1p();
            *gradient = ((sigmoid(logit) - target) * scale) as f32;
        }
        loss * share
    });
    Ok(Loss::new(losses.collect()))
}
