//! Softmax cross-entropy with label smoothing.

use rayon::prelude::*;

use super::{Loss, check_labels, examples, softmax};
use crate::error::TrainError;

/// Cross-entropy of logits `[B, classes]` with one label per example. The target is `1 -
/// label_smoothing` on the label plus `label_smoothing / classes` on every class, as in TensorFlow
/// and PyTorch. slim's scripts and the paper use no smoothing, 0.
///
/// Writes the gradient of the mean loss with respect to the logits to `gradient`, `[B, classes]`.
///
/// # Errors
/// If lengths do not agree, a label is not a class, or the smoothing is outside 0 to 1.
///
/// ```
/// use mobilenet_train::loss::softmax_cross_entropy;
///
/// let mut gradient = [0.0; 2];
/// let loss = softmax_cross_entropy(&[0.0, 0.0], &[1], 2, 0.0, &mut gradient)?;
/// assert!((loss.mean - 2.0f64.ln()).abs() < 1e-12);
/// assert_eq!(gradient, [0.5, -0.5]);
/// # Ok::<(), mobilenet_train::TrainError>(())
/// ```
pub fn softmax_cross_entropy(
    logits: &[f32],
    labels: &[u32],
    classes: usize,
    label_smoothing: f64,
    gradient: &mut [f32],
) -> Result<Loss, TrainError> {
    let batch = examples("logits", logits, classes, gradient)?;
    check_labels(labels, batch, classes)?;
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(TrainError::Setting {
            setting: "label_smoothing",
            range: "0 to 1",
            found: label_smoothing.to_string(),
        });
    }
    let rows = gradient
        .par_chunks_mut(classes)
        .zip(logits.par_chunks(classes));
    let losses = rows.zip(labels).map(|((gradient, logits), &label)| {
        row(
            logits,
            label as usize,
            label_smoothing,
            1.0 / batch as f64,
            gradient,
        )
    });
    Ok(Loss::new(losses.collect()))
}

/// Loss of one example. Also writes its gradient times `scale`.
pub(super) fn row(
    logits: &[f32],
    label: usize,
    label_smoothing: f64,
    scale: f64,
    gradient: &mut [f32],
) -> f64 {
    let log_sum = softmax(logits, 1.0, gradient);
    let everywhere = label_smoothing / logits.len() as f64;
    let on_label = 1.0 - label_smoothing;
    for probability in gradient.iter_mut() {
        *probability = ((f64::from(*probability) - everywhere) * scale) as f32;
    }
    gradient[label] -= (on_label * scale) as f32;

    let of_label = log_sum - f64::from(logits[label]);
    if label_smoothing == 0.0 {
        return of_label;
    }
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit)).sum();
    let of_all = logits.len() as f64 * log_sum - sum;
    on_label * of_label + everywhere * of_all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_do_not_overflow() {
        let mut gradient = [0.0; 2];
        let loss = softmax_cross_entropy(&[3e38, -3e38], &[0], 2, 0.0, &mut gradient).unwrap();
        assert_eq!((loss.mean, gradient), (0.0, [0.0; 2]));
        let loss = softmax_cross_entropy(&[1e4, 0.0], &[1], 2, 0.0, &mut gradient).unwrap();
        assert_eq!((loss.mean, gradient), (1e4, [1.0, -1.0]));
    }

    #[test]
    fn what_is_not_finite_shows_in_the_loss() {
        for logit in [f32::NAN, f32::INFINITY] {
            let mut gradient = [0.0; 2];
            let loss = softmax_cross_entropy(&[logit, 0.0], &[1], 2, 0.1, &mut gradient).unwrap();
            assert!(!loss.mean.is_finite(), "{logit}: {loss:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut gradient = [0.0; 4];
        let mut refused = |logits: &[f32], labels: &[u32], classes, smoothing| {
            let gradient = &mut gradient[..logits.len().min(4)];
            softmax_cross_entropy(logits, labels, classes, smoothing, gradient)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(&[0.0; 4], &[0, 2], 2, 0.0),
            "example 1: expected a label below 2, found 2"
        );
        assert_eq!(
            refused(&[0.0; 3], &[0, 1], 2, 0.0),
            "expected 4 values of logits (in whole rows), found 3"
        );
        assert_eq!(
            refused(&[0.0; 4], &[0], 2, 0.0),
            "expected 2 values of labels, found 1"
        );
        assert_eq!(
            refused(&[0.0; 6], &[0, 1, 1], 2, 0.0),
            "expected 6 values of gradient, found 4"
        );
        assert!(refused(&[0.0; 4], &[0, 1], 2, 1.5).contains("label_smoothing"));
        assert!(refused(&[0.0; 4], &[], 0, 0.0).contains("logits"));
    }
}
