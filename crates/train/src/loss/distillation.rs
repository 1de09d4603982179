//! Learning from a teacher. Section 4.5 of the paper trains a classifier on the logits of a larger
//! one, so that unlabelled data can be used. Section 4.7 uses an embedding: the squared difference
//! from FaceNet's output.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Loss, check_labels, cross_entropy, examples, softmax};
use crate::error::TrainError;

/// Cross-entropy with labels, mixed with the divergence from a teacher (Hinton, Vinyals and Dean,
/// "Distilling the Knowledge in a Neural Network"):
///
/// `weight * T^2 * KL(softmax(teacher / T) || softmax(student / T)) + (1 - weight) * CE(label)`
///
/// The factor `T^2` keeps the size of gradients at any temperature. The paper uses the teacher
/// alone: weight 1, temperature 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// Weight of the teacher's part, 0 to 1.
    pub weight: f64,
    /// `T`, the divisor of both networks' logits.
    pub temperature: f64,
    /// Label smoothing in the labels' part.
    pub label_smoothing: f64,
}

impl Distillation {
    /// The paper's settings: the teacher's probabilities only.
    pub fn paper() -> Self {
        Self {
            weight: 1.0,
            temperature: 1.0,
            label_smoothing: 0.0,
        }
    }

    /// The loss of logits `[B, classes]` with the teacher's logits and with labels. Labels may be
    /// `None` only with weight 1. Writes the gradient of the mean loss with respect to the
    /// student's logits to `gradient`.
    ///
    /// # Errors
    /// If lengths do not agree, a label is missing or not a class, or a setting is out of range.
    pub fn loss(
        &self,
        logits: &[f32],
        teacher: &[f32],
        labels: Option<&[u32]>,
        classes: usize,
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        self.check()?;
        let batch = examples("logits", logits, classes, gradient)?;
        TrainError::check_length("the teacher's logits", logits.len(), teacher.len())?;
        let labels = match labels {
            _ if self.weight == 1.0 => None,
            None => return Err(out_of_range("weight without labels", "1", self.weight)),
            Some(labels) => {
                check_labels(labels, batch, classes)?;
                Some(labels)
            }
        };
        let rows = gradient
            .par_chunks_mut(classes)
            .zip(logits.par_chunks(classes))
            .zip(teacher.par_chunks(classes))
            .enumerate();
        let losses = rows.map_init(
            || (vec![0.0; classes], vec![0.0; classes]),
            |(student, target), (example, ((gradient, logits), teacher))| {
                let scale = 1.0 / batch as f64;
                let hard = labels.map_or(0.0, |labels| {
                    let scale = (1.0 - self.weight) * scale;
                    let label = labels[example] as usize;
                    cross_entropy::row(logits, label, self.label_smoothing, scale, gradient)
                });
                if labels.is_none() {
                    gradient.fill(0.0);
                }
                let divergence = self.divergence(logits, teacher, student, target);
                let scale = (self.weight * self.temperature * scale) as f32;
                for ((gradient, student), target) in gradient.iter_mut().zip(student).zip(target) {
                    *gradient += (*student - *target) * scale;
                }
                let soft = self.temperature * self.temperature * divergence;
                self.weight * soft + (1.0 - self.weight) * hard
            },
        );
        Ok(Loss::new(losses.collect()))
    }

    /// `KL(teacher || student)`. The buffers hold both distributions afterwards.
    fn divergence(
        &self,
        logits: &[f32],
        teacher: &[f32],
        student: &mut [f32],
        target: &mut [f32],
    ) -> f64 {
        let scale = 1.0 / self.temperature;
        let student_log_sum = softmax(logits, scale, student);
        let teacher_log_sum = softmax(teacher, scale, target);
        let terms = target.iter().zip(teacher).zip(logits);
        let terms = terms.map(|((&target, &teacher), &logit)| {
            let student_log = f64::from(logit) * scale - student_log_sum;
            let teacher_log = f64::from(teacher) * scale - teacher_log_sum;
            f64::from(target) * (teacher_log - student_log)
        });
        terms.sum()
    }

    fn check(&self) -> Result<(), TrainError> {
        if !(0.0..=1.0).contains(&self.weight) {
            return Err(out_of_range("weight", "0 to 1", self.weight));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let range = "above 0 and finite";
            return Err(out_of_range("temperature", range, self.temperature));
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Err(out_of_range(
                "label_smoothing",
                "0 to 1",
                self.label_smoothing,
            ));
        }
        Ok(())
    }
}

fn out_of_range(setting: &'static str, range: &'static str, found: f64) -> TrainError {
    TrainError::Setting {
        setting,
        range,
        found: found.to_string(),
    }
}

/// Squared difference of embeddings `[B, width]`, summed over the width and averaged over the
/// examples. Writes the gradient of the mean with respect to `embeddings` to `gradient`.
///
/// # Errors
/// If lengths do not agree.
pub fn squared_difference(
    embeddings: &[f32],
    targets: &[f32],
    width: usize,
    gradient: &mut [f32],
) -> Result<Loss, TrainError> {
    let batch = examples("embeddings", embeddings, width, gradient)?;
    TrainError::check_length("the teacher's embeddings", embeddings.len(), targets.len())?;
    let scale = 2.0 / batch as f32;
    let rows = gradient
        .chunks_mut(width)
        .zip(embeddings.chunks(width))
        .zip(targets.chunks(width));
    let losses = rows.map(|((gradient, embedding), target)| {
        let mut loss = 0.0;
        for ((gradient, value), target) in gradient.iter_mut().zip(embedding).zip(target) {
            let difference = value - target;
            loss += f64::from(difference) * f64::from(difference);
            *gradient = scale * difference;
        }
        loss
    });
    Ok(Loss::new(losses.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_teacher_has_nothing_to_learn() {
        let logits = [0.3, -2.0, 5.0, 1.0, 1.0, -1.0];
        let mut gradient = [1.0; 6];
        let loss = Distillation::paper()
            .loss(&logits, &logits, None, 3, &mut gradient)
            .unwrap();
        assert!(loss.mean.abs() < 1e-12);
        assert_eq!(gradient, [0.0; 6]);
    }

    #[test]
    fn labels_are_needed_where_they_count() {
        let distillation = Distillation {
            weight: 0.5,
            ..Distillation::paper()
        };
        let loss = distillation.loss(&[0.0; 2], &[0.0; 2], None, 2, &mut [0.0; 2]);
        assert_eq!(
            loss.unwrap_err().to_string(),
            "weight without labels must be 1, was 0.5"
        );
        for distillation in [
            Distillation {
                weight: 1.5,
                ..Distillation::paper()
            },
            Distillation {
                temperature: 0.0,
                ..Distillation::paper()
            },
        ] {
            let loss = distillation.loss(&[0.0; 2], &[0.0; 2], None, 2, &mut [0.0; 2]);
            assert!(loss.is_err());
        }
        let loss = Distillation::paper().loss(&[0.0; 2], &[0.0; 4], None, 2, &mut [0.0; 2]);
        assert!(loss.is_err());
    }
}
