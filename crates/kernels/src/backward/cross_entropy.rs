//! Softmax cross-entropy with label smoothing, the mean over a batch, in f64.
//!
//! ```text
//! target[b, c]   = (1 - smoothing) * [c = label of b] + smoothing / classes
//! loss           = mean over b of  -sum over c of target[b, c] * log softmax(logits)[b, c]
//! d loss / dlogit[b, c] = (softmax(logits)[b, c] - target[b, c]) / batch
//! ```
//!
//! `[c = label of b]` is 1 if this is true, else 0. The loss is that of TensorFlow's
//! `tf.losses.softmax_cross_entropy` and PyTorch's `CrossEntropyLoss`.

use crate::error::{KernelError, check_length};

/// Logits of a batch, and its labels.
#[derive(Debug, Clone, Copy)]
pub struct CrossEntropy<'a> {
    logits: &'a [f32],
    labels: &'a [u32],
    classes: usize,
    smoothing: f64,
}

impl<'a> CrossEntropy<'a> {
    /// `logits` `[batch, classes]`, `labels` `[batch]`, `label_smoothing` in `[0, 1]`.
    ///
    /// # Errors
    /// If the batch is empty, the lengths do not match, a label is not the index of a class, or the
    /// smoothing is out of range.
    pub fn new(
        logits: &'a [f32],
        labels: &'a [u32],
        classes: usize,
        label_smoothing: f64,
    ) -> Result<Self, KernelError> {
        if labels.is_empty() || classes == 0 {
            return Err(KernelError::Zero {
                what: "batch or number of classes",
            });
        }
        check_length("logits", logits.len(), &[labels.len(), classes])?;
        if !(0.0..=1.0).contains(&label_smoothing) {
            return Err(KernelError::LabelSmoothing {
                found: label_smoothing.to_string(),
            });
        }
        let wrong = labels.iter().position(|&label| label as usize >= classes);
        if let Some(example) = wrong {
            return Err(KernelError::Label {
                example,
                label: labels[example],
                classes,
            });
        }
        Ok(Self {
            logits,
            labels,
            classes,
            smoothing: label_smoothing,
        })
    }

    /// For each example: its logits, its label, and the logarithm of the sum of the exponentials.
    fn examples(&self) -> impl Iterator<Item = (&'a [f32], usize, f64)> {
        let logits = self.logits.chunks_exact(self.classes);
        logits.zip(self.labels).map(|(logits, &label)| {
            // Logits that are NaN or infinite make the sum NaN, on purpose: the loss must show it.
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let largest = f64::from(largest);
            let exponentials = logits.iter().map(|&x| (f64::from(x) - largest).exp());
            (
                logits,
                label as usize,
                largest + exponentials.sum::<f64>().ln(),
            )
        })
    }

    /// The loss, which is the mean over the batch.
    pub fn loss(&self) -> f64 {
        let losses = self.examples().map(|(logits, label, log_sum)| {
            let sum: f64 = logits.iter().map(|&x| f64::from(x)).sum();
            let right = log_sum - f64::from(logits[label]);
            let all = log_sum - sum / self.classes as f64;
            (1.0 - self.smoothing) * right + self.smoothing * all
        });
        losses.sum::<f64>() / self.labels.len() as f64
    }

    /// The gradient of the logits, `[batch, classes]`, times `factor`, which is the gradient of the
    /// loss.
    ///
    /// # Errors
    /// If `gradient` has the wrong length.
    pub fn gradient(&self, factor: f64, gradient: &mut [f32]) -> Result<(), KernelError> {
        check_length("gradient", gradient.len(), &[self.logits.len()])?;
        let factor = factor / self.labels.len() as f64;
        let share = self.smoothing / self.classes as f64;
        let examples = gradient.chunks_exact_mut(self.classes).zip(self.examples());
        for (gradient, (logits, label, log_sum)) in examples {
            for (c, (gradient, &x)) in gradient.iter_mut().zip(logits).enumerate() {
                let right = if c == label {
                    1.0 - self.smoothing
                } else {
                    0.0
                };
                let probability = (f64::from(x) - log_sum).exp();
                *gradient = (factor * (probability - right - share)) as f32;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certain_answer_costs_nothing_and_a_wrong_one_its_logit() {
        let logits = [800.0, 0.0, 0.0, 0.0, 800.0, 0.0];
        let loss = |labels: &[u32]| CrossEntropy::new(&logits, labels, 3, 0.0).unwrap().loss();
        assert_eq!(loss(&[0, 1]), 0.0);
        assert_eq!(loss(&[0, 2]), 400.0);
    }

    #[test]
    fn broken_logits_are_not_hidden() {
        let loss = |logit| {
            CrossEntropy::new(&[0.0, logit], &[0], 2, 0.0)
                .unwrap()
                .loss()
        };
        assert!(loss(f32::NAN).is_nan());
        assert!(loss(f32::INFINITY).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let error = CrossEntropy::new(&[0.0; 6], &[2, 3], 3, 0.0).unwrap_err();
        let expected = "label 3 of example 1 names none of 3 classes";
        assert_eq!(error.to_string(), expected);
        for smoothing in [-0.1, 1.1, f64::NAN] {
            assert!(CrossEntropy::new(&[0.0; 6], &[2, 1], 3, smoothing).is_err());
        }
        assert!(CrossEntropy::new(&[0.0; 5], &[2, 1], 3, 0.0).is_err());
        assert!(CrossEntropy::new(&[], &[], 3, 0.0).is_err());
    }
}
