//! Evaluation of a network on a data set: slim's Accuracy and Recall_5, and more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mobilenet_model::initialize::Parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::{Head, MobileNetV1Config, NetworkWeights, PlanOutput, PlanWeights};

use serde::{Deserialize, Serialize};

use crate::data::{EvaluationBatches, EvaluationConfig, ImageDataset, Part, Skipped};
use crate::error::TrainError;
use crate::loss::softmax;
use crate::metrics::{Accuracy, Evaluation, argmax};
use crate::parallel::{Communicator, gather_on_first};

/// Options of an evaluation.
#[derive(Debug, Clone)]
pub struct EvaluationOptions {
    /// Number of images that are computed together.
    pub batch_size: usize,
    /// Which part of the data this is, if several ranks evaluate together.
    pub part: Part,
    /// Number of threads of the network. As many more decode.
    pub threads: usize,
    /// Share of photos that may be unusable.
    pub max_skipped_share: f64,
    /// Number of images with the highest loss that are kept.
    pub worst: usize,
    /// Classes among which the best is looked for a second time, sorted; the data has no others.
    pub subset: Option<Vec<usize>>,
    /// Whether the answer for each photo is kept.
    pub keep_answers: bool,
}

/// Result of an evaluation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluationOutcome {
    /// The metrics.
    pub evaluation: Evaluation,
    /// Accuracy where only classes of the subset are answers.
    pub restricted: Option<Accuracy>,
    /// The answer for each photo, if wanted, in the order of the photos.
    pub answers: Vec<Answer>,
    /// Photos that could not be used.
    pub skipped: Vec<Skipped>,
    /// Time from the first photo to the last.
    pub elapsed: Duration,
}

impl EvaluationOutcome {
    /// The outcome of all ranks together, on rank 0.
    ///
    /// # Errors
    /// If a rank cannot be reached, or has other classes.
    pub fn of_all(self, communicator: &mut dyn Communicator) -> Result<Option<Self>, TrainError> {
        if communicator.ranks() == 1 {
            return Ok(Some(self));
        }
        let own = serde_json::to_vec(&self).map_err(TrainError::message)?;
        let Some(parts) = gather_on_first(communicator, own)? else {
            return Ok(None);
        };
        let mut whole = self;
        for part in parts.iter().skip(1) {
            let part: Self = serde_json::from_slice(part).map_err(TrainError::message)?;
            whole.evaluation.merge(&part.evaluation)?;
            if let (Some(whole), Some(part)) = (&mut whole.restricted, &part.restricted) {
                whole.merge(part);
            }
            whole.answers.extend(part.answers);
            whole.skipped.extend(part.skipped);
            whole.elapsed = whole.elapsed.max(part.elapsed);
        }
        Ok(Some(whole))
    }
}

/// What the network says of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Number of the photo in its data set.
    pub image: usize,
    /// Its class.
    pub label: usize,
    /// The most probable class.
    pub predicted: usize,
    /// Its probability.
    #[serde(with = "crate::bits")]
    pub probability: f32,
}

/// Evaluates parameters on every photo of a data set.
///
/// # Errors
/// If the network has no classifier or cannot take the preprocessing's size, a label is not a
/// class, or too many photos are unusable.
pub fn evaluate(
    config: &MobileNetV1Config,
    parameters: &Parameters,
    preprocessing: &Preprocessing,
    data: Arc<dyn ImageDataset>,
    options: &EvaluationOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<EvaluationOutcome, TrainError> {
    let weights = NetworkWeights::F32(PlanWeights::new(config, parameters)?);
    let classes = config.classes().unwrap_or(0);
    evaluate_network(&weights, classes, preprocessing, data, options, progress)
}

/// [`evaluate`] for packed weights, of either number type.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_network(
    weights: &NetworkWeights,
    classes: usize,
    preprocessing: &Preprocessing,
    data: Arc<dyn ImageDataset>,
    options: &EvaluationOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<EvaluationOutcome, TrainError> {
    let mut plan = weights.plan(preprocessing.size, options.threads, PlanOutput::Logits)?;
    TrainError::check_length("logits", classes, plan.output_len())?;
    let start = Instant::now();
    let mut batches = EvaluationBatches::new(
        data,
        EvaluationConfig {
            batch_size: options.batch_size,
            part: options.part,
            preprocessing: preprocessing.clone(),
            workers: options.threads,
            max_skipped_share: options.max_skipped_share,
        },
    )?;
    let mut evaluation = Evaluation::new(classes, options.worst);
    let mut restricted = options.subset.as_ref().map(|_| Accuracy::default());
    let mut answers = Vec::new();
    let (mut logits, mut within) = (Vec::new(), Vec::new());
    let mut probabilities = vec![0.0; classes];
    let views = preprocessing.views.count();
    while let Some(batch) = batches.next() {
        let batch = batch?;
        logits.resize(batch.len() * views * classes, 0.0);
        plan.run(&batch.images, &mut logits)?;
        if views > 1 {
            logits = averaged(&logits, views, classes);
        }
        evaluation.add(&batch.indices, &logits, &batch.labels)?;
        for ((logits, &label), &image) in logits
            .chunks(classes)
            .zip(&batch.labels)
            .zip(&batch.indices)
        {
            let label = label as usize;
            if let (Some(subset), Some(restricted)) = (&options.subset, &mut restricted) {
                within.clear();
                within.extend(subset.iter().filter_map(|&class| logits.get(class)));
                // A label outside the subset is never the answer.
                restricted.add(&within, subset.binary_search(&label).unwrap_or(usize::MAX));
            }
            if options.keep_answers {
                softmax(logits, 1.0, &mut probabilities);
                let predicted = argmax(logits);
                answers.push(Answer {
                    image,
                    label,
                    predicted,
                    probability: probabilities[predicted],
                });
            }
        }
        progress(batch.len());
        batches.give_back(batch);
    }
    Ok(EvaluationOutcome {
        evaluation,
        restricted,
        answers,
        skipped: batches.skipped().to_vec(),
        elapsed: start.elapsed(),
    })
}

/// Logits whose softmax is the average of that of the views.
fn averaged(logits: &[f32], views: usize, classes: usize) -> Vec<f32> {
    let photos = logits.chunks_exact(views * classes);
    let logits = |logits| {
        let mean = Head::Classes.mean_probabilities(logits, classes);
        // The least number that is not 0 stands for it: its logarithm is finite.
        mean.into_iter()
            .map(|probability| probability.max(f64::MIN_POSITIVE).ln() as f32)
    };
    photos.flat_map(logits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_become_logits_of_their_average() {
        // Two photos of two views; the last view is certain.
        let logits = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 2000.0];
        let found = averaged(&logits, 2, 2);
        let softmax = |pair: &[f32]| f64::from(pair[0] - pair[1]).exp();
        assert!((softmax(&found[..2]) - 1.0).abs() < 1e-6);
        assert!((softmax(&found[2..]) - 0.25 / 0.75).abs() < 1e-6);
        assert!(
            averaged(&[0.0, 2000.0], 1, 2)
                .iter()
                .all(|logit| logit.is_finite())
        );
    }
}
