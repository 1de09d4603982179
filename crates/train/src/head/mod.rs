//! The classifier alone, trained on features that were computed once: logistic regression by
//! L-BFGS, which takes seconds and gives the same weights each time.

mod calibration;
mod lbfgs;
mod logistic;

use mobilenet_model::architecture::LOGITS_LAYER;
use mobilenet_model::checkpoint::Checkpoint;
use mobilenet_model::labels::Labels;
use mobilenet_model::{Array, ModelError};

use crate::error::TrainError;
pub use calibration::Calibration;
use logistic::Objective;

/// How a classifier is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadOptions {
    /// Factor of half the squared weights beside the mean cross-entropy. It applies to features of
    /// mean 0 and deviation 1.
    pub l2: f64,
    /// Largest part of the gradient at the end.
    pub tolerance: f64,
    /// Most iterations.
    pub iterations: usize,
}

impl Default for HeadOptions {
    fn default() -> Self {
        Self {
            l2: 0.01,
            tolerance: 1e-5,
            iterations: 500,
        }
    }
}

/// A trained classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `[classes, width]`.
    pub weights: Vec<f32>,
    /// `[classes]`.
    pub biases: Vec<f32>,
    /// Mean cross-entropy and penalty at the end.
    pub loss: f64,
    /// Iterations that it took.
    pub iterations: usize,
    /// Whether the gradient fell below the tolerance.
    pub converged: bool,
}

impl Head {
    /// Trains on features `[n, width]` with a label each.
    ///
    /// # Errors
    /// If lengths do not agree, a label is no class, or features are not finite.
    ///
    /// ```
    /// use mobilenet_train::head::{Head, HeadOptions};
    ///
    /// let features = [0.0, 0.1, 0.9, 1.0];
    /// let head = Head::fit(&features, 1, &[0, 0, 1, 1], 2, &HeadOptions::default())?;
    /// let logits = head.logits(&[0.2, 0.7])?;
    /// assert!(logits[0] > logits[1] && logits[2] < logits[3]);
    /// # Ok::<(), mobilenet_train::TrainError>(())
    /// ```
    pub fn fit(
        features: &[f32],
        width: usize,
        labels: &[u32],
        classes: usize,
        options: &HeadOptions,
    ) -> Result<Self, TrainError> {
        if let Some(value) = features.iter().find(|value| !value.is_finite()) {
            return Err(TrainError::Setting {
                setting: "features",
                range: "finite",
                found: value.to_string(),
            });
        }
        let scale = Scale::of(features, width, labels.len());
        let scaled = scale.apply(features);
        let mut objective = Objective::new(&scaled, labels, width, classes, options.l2)?;
        let start = vec![0.0; objective.len()];
        let found = lbfgs::minimize(
            start,
            options.tolerance,
            options.iterations,
            |point, gradient| objective.evaluate(point, gradient),
        )?;
        let (weights, biases) = found.point.split_at(classes * width);
        let (weights, biases) = scale.undo(weights, biases);
        Ok(Self {
            weights,
            biases,
            loss: found.value,
            iterations: found.iterations,
            converged: found.converged,
        })
    }

    /// Logits `[n, classes]` of features `[n, width]`.
    ///
    /// # Errors
    /// If the features do not come in rows of this width.
    pub fn logits(&self, features: &[f32]) -> Result<Vec<f32>, TrainError> {
        let width = self.weights.len() / self.biases.len().max(1);
        logistic::logits(features, &self.weights, &self.biases, width)
    }

    /// The classifier whose logits are divided by the temperature.
    pub fn at_temperature(self, temperature: f64) -> Self {
        let divide = |values: Vec<f32>| {
            let values = values.into_iter();
            values.map(|value| (f64::from(value) / temperature) as f32)
        };
        Self {
            weights: divide(self.weights).collect(),
            biases: divide(self.biases).collect(),
            ..self
        }
    }

    /// The network with this classifier and these names of its classes.
    ///
    /// # Errors
    /// If the network has features of another width.
    pub fn put_into(
        &self,
        checkpoint: Checkpoint,
        class_names: &[String],
    ) -> Result<Checkpoint, TrainError> {
        TrainError::check_length("class names", self.biases.len(), class_names.len())?;
        let mut checkpoint = checkpoint.with_classes(Some(class_names.len()), 0)?;
        checkpoint.metadata.labels = Labels::Names(class_names.to_vec());
        for (part, values) in [("weight", &self.weights), ("bias", &self.biases)] {
            let name = format!("{LOGITS_LAYER}.{part}");
            if let Some(array) = checkpoint.parameters.get_mut(&name) {
                TrainError::check_length(&name, array.values().len(), values.len())?;
                *array = Array::new(array.shape(), values.clone()).map_err(ModelError::from)?;
            }
        }
        Ok(checkpoint)
    }
}

/// Mean and deviation of each feature.
struct Scale {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Scale {
    fn of(features: &[f32], width: usize, rows: usize) -> Self {
        let count = rows.max(1) as f64;
        let mut means = vec![0.0; width];
        for row in features.chunks(width.max(1)) {
            for (mean, &value) in means.iter_mut().zip(row) {
                *mean += f64::from(value) / count;
            }
        }
        let mut deviations = vec![0.0; width];
        for row in features.chunks(width.max(1)) {
            for ((sum, mean), &value) in deviations.iter_mut().zip(&means).zip(row) {
                *sum += (f64::from(value) - mean).powi(2) / count;
            }
        }
        // A feature that never changes says nothing, and stays 0.
        let deviation = |variance: f64| match variance.sqrt() {
            deviation if deviation > 1e-6 => deviation,
            _ => f64::INFINITY,
        };
        let deviations = deviations.into_iter().map(deviation).collect();
        Self { means, deviations }
    }

    fn apply(&self, features: &[f32]) -> Vec<f32> {
        let mut scaled = features.to_vec();
        for row in scaled.chunks_mut(self.means.len().max(1)) {
            for ((value, mean), deviation) in row.iter_mut().zip(&self.means).zip(&self.deviations)
            {
                *value = ((f64::from(*value) - mean) / deviation) as f32;
            }
        }
        scaled
    }

    /// Weights and biases that do with features what these do with scaled ones.
    fn undo(&self, weights: &[f64], biases: &[f64]) -> (Vec<f32>, Vec<f32>) {
        let mut plain = Vec::with_capacity(weights.len());
        let mut shifted = Vec::with_capacity(biases.len());
        for (row, bias) in weights.chunks(self.means.len().max(1)).zip(biases) {
            let mut bias = *bias;
            for ((weight, mean), deviation) in row.iter().zip(&self.means).zip(&self.deviations) {
                let weight = weight / deviation;
                bias -= weight * mean;
                plain.push(weight as f32);
            }
            shifted.push(bias as f32);
        }
        (plain, shifted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet_model::checkpoint::{LoadReport, Metadata};
    use mobilenet_model::initialize::random_parameters;
    use mobilenet_model::preprocess::Preprocessing;

    #[test]
    fn scaling_leaves_no_trace() {
        let features = [1.0, 50.0, 7.0, 3.0, 10.0, 7.0, 2.0, 90.0, 7.0];
        let scale = Scale::of(&features, 3, 3);
        let (weights, biases) = ([0.5, -2.0, 3.0, 1.0, 0.0, -1.0], [0.25, -1.0]);
        let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let scaled = scale.apply(&features);
        assert!(
            scaled
                .iter()
                .skip(2)
                .step_by(3)
                .all(|&constant| constant == 0.0)
        );
        let before = logistic::logits(&scaled, &narrow(&weights), &narrow(&biases), 3).unwrap();
        let (weights, biases) = scale.undo(&weights, &biases);
        let after = logistic::logits(&features, &weights, &biases, 3).unwrap();
        for (before, after) in before.iter().zip(after) {
            assert!((before - after).abs() < 1e-5);
        }
    }

    #[test]
    fn a_head_becomes_a_checkpoint() {
        let metadata = Metadata {
            width: 0.25,
            ..Metadata::new(Preprocessing::slim(32))
        };
        let checkpoint = Checkpoint {
            parameters: random_parameters(&metadata.config(), 1).unwrap(),
            metadata,
            report: LoadReport::default(),
        };
        let width = 256;
        let features: Vec<f32> = (0..6 * width).map(|i| ((i * i) % 23) as f32).collect();
        let fit = |width| {
            Head::fit(
                &features,
                width,
                &[0, 1, 2, 0, 1, 2],
                3,
                &HeadOptions::default(),
            )
        };
        let names = ["a", "b", "c"].map(String::from);
        let head = fit(width).unwrap();
        assert!(head.converged && head.loss < 0.5);
        let adapted = head.put_into(checkpoint.clone(), &names).unwrap();
        assert_eq!(adapted.metadata.labels, Labels::Names(names.to_vec()));
        let weights = &adapted.parameters[&format!("{LOGITS_LAYER}.weight")];
        assert_eq!(weights.values(), head.weights);
        mobilenet_model::PlanWeights::new(&adapted.metadata.config(), &adapted.parameters).unwrap();

        assert!(fit(width / 2).is_err());
        assert!(head.put_into(checkpoint.clone(), &names[..2]).is_err());
        let narrow = Head::fit(&[0.0, 1.0, 2.0], 1, &[0, 1, 2], 3, &HeadOptions::default());
        assert!(narrow.unwrap().put_into(checkpoint, &names).is_err());
        let broken = Head::fit(&[0.0, f32::NAN], 1, &[0, 1], 2, &HeadOptions::default());
        assert!(broken.unwrap_err().to_string().contains("finite"));
    }
}
