//! Multinomial logistic regression: the mean cross-entropy of a linear classifier, plus an L2
//! penalty on its weights and none on its biases.

use mobilenet_kernels::backward::pointwise::weight_gradient;
use mobilenet_kernels::pointwise::pointwise;
use mobilenet_model::ModelError;

use crate::error::TrainError;
use crate::loss::{check_labels, check_rows, softmax_cross_entropy};

/// The function that training minimises. A point is the weights `[classes, width]`, then the biases.
pub(super) struct Objective<'a> {
    features: &'a [f32],
    labels: &'a [u32],
    width: usize,
    classes: usize,
    l2: f64,
    logits: Vec<f32>,
    logits_gradient: Vec<f32>,
    weights_gradient: Vec<f32>,
}

impl<'a> Objective<'a> {
    /// Features `[n, width]` with a label each.
    pub(super) fn new(
        features: &'a [f32],
        labels: &'a [u32],
        width: usize,
        classes: usize,
        l2: f64,
    ) -> Result<Self, TrainError> {
        let rows = check_rows("features", features, width)?;
        check_labels(labels, rows, classes)?;
        Ok(Self {
            features,
            labels,
            width,
            classes,
            l2,
            logits: vec![0.0; rows * classes],
            logits_gradient: vec![0.0; rows * classes],
            weights_gradient: vec![0.0; classes * width],
        })
    }

    /// Length of a point.
    pub(super) fn len(&self) -> usize {
        self.classes * (self.width + 1)
    }

    /// Writes the gradient and returns the value.
    pub(super) fn evaluate(
        &mut self,
        point: &[f64],
        gradient: &mut [f64],
    ) -> Result<f64, TrainError> {
        let (width, classes) = (self.width, self.classes);
        let (weights, biases) = point.split_at(classes * width);
        self.logits = logits(self.features, &narrow(weights), &narrow(biases), width)?;
        let loss = softmax_cross_entropy(
            &self.logits,
            self.labels,
            classes,
            0.0,
            &mut self.logits_gradient,
        )?;
        weight_gradient(
            self.features,
            self.labels.len(),
            width,
            classes,
            &self.logits_gradient,
            &mut self.weights_gradient,
        )
        .map_err(ModelError::from)?;
        let (of_weights, of_biases) = gradient.split_at_mut(classes * width);
        let parts = of_weights
            .iter_mut()
            .zip(&self.weights_gradient)
            .zip(weights);
        for ((gradient, &part), &weight) in parts {
            *gradient = f64::from(part) + self.l2 * weight;
        }
        of_biases.fill(0.0);
        for row in self.logits_gradient.chunks_exact(classes) {
            for (sum, &part) in of_biases.iter_mut().zip(row) {
                *sum += f64::from(part);
            }
        }
        let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
        Ok(loss.mean + 0.5 * self.l2 * squares)
    }
}

/// Logits `[n, classes]` of features `[n, width]`.
pub(super) fn logits(
    features: &[f32],
    weights: &[f32],
    biases: &[f32],
    width: usize,
) -> Result<Vec<f32>, TrainError> {
    let rows = check_rows("features", features, width)?;
    let mut logits = vec![0.0; rows * biases.len()];
    pointwise(
        features,
        weights,
        Some(biases),
        rows,
        width,
        biases.len(),
        &mut logits,
    )
    .map_err(ModelError::from)?;
    Ok(logits)
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let features: Vec<f32> = (0..21).map(|i| ((i * 7) % 11) as f32 * 0.3 - 1.0).collect();
        let labels = [0, 2, 1, 2, 0, 3, 2];
        let mut objective = Objective::new(&features, &labels, 3, 4, 0.2).unwrap();
        let point: Vec<f64> = (0..objective.len())
            .map(|i| (i as f64 * 0.7).sin())
            .collect();
        let mut gradient = vec![0.0; point.len()];
        objective.evaluate(&point, &mut gradient).unwrap();
        let mut ignored = vec![0.0; point.len()];
        for at in 0..point.len() {
            // f32 inside: a step large enough to be seen.
            let mut beside = |step: f64| {
                let mut point = point.clone();
                point[at] += step;
                objective.evaluate(&point, &mut ignored).unwrap()
            };
            let slope = (beside(1e-2) - beside(-1e-2)) / 2e-2;
            assert!(
                (slope - gradient[at]).abs() < 1e-4,
                "{at}: {slope} {}",
                gradient[at]
            );
        }
    }

    #[test]
    fn labels_and_lengths_are_checked() {
        assert!(Objective::new(&[1.0, 2.0], &[2], 2, 2, 0.0).is_err());
        assert!(Objective::new(&[1.0, 2.0, 3.0], &[0], 2, 2, 0.0).is_err());
        assert!(Objective::new(&[1.0, 2.0], &[0, 1], 2, 2, 0.0).is_err());
    }
}
