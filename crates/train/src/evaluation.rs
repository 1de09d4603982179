//! Evaluation of a network on a data set: slim's Accuracy and Recall_5, and more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mobilenet_model::initialize::Parameters;
use mobilenet_model::prediction::mean_probabilities;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::{InferencePlan, MobileNetV1Config, PlanOptions, PlanWeights};

use crate::data::{EvaluationBatches, EvaluationConfig, ImageDataset, Skipped};
use crate::error::TrainError;
use crate::metrics::Evaluation;

/// How to evaluate.
#[derive(Debug, Clone)]
pub struct EvaluationOptions {
    /// Images that are computed together.
    pub batch_size: usize,
    /// Threads of the network, and as many that decode.
    pub threads: usize,
    /// Share of photos that may be unusable.
    pub max_skipped_share: f64,
    /// How many of the most wrong images are kept.
    pub worst: usize,
    /// Added to the data's class numbers: 1 if the network has a background class and the data has
    /// none.
    pub label_offset: u32,
}

/// Result of an evaluation.
#[derive(Debug, Clone)]
pub struct EvaluationOutcome {
    /// The metrics.
    pub evaluation: Evaluation,
    /// Photos that could not be used.
    pub skipped: Vec<Skipped>,
    /// Time from the first photo to the last.
    pub elapsed: Duration,
}

/// Evaluates parameters on every photo of a data set.
///
/// # Errors
/// If the network has no classifier or cannot take the preprocessing's size, a label is no
/// class, or too many photos are unusable.
pub fn evaluate(
    config: &MobileNetV1Config,
    parameters: &Parameters,
    preprocessing: &Preprocessing,
    data: Arc<dyn ImageDataset>,
    options: &EvaluationOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<EvaluationOutcome, TrainError> {
    let weights = PlanWeights::new(config, parameters)?;
    let mut plan = InferencePlan::new(
        &weights,
        &PlanOptions::new(preprocessing.size, options.threads),
    )?;
    let classes = config.classes().unwrap_or(0);
    TrainError::check_length("logits", classes, plan.output_len())?;
    let start = Instant::now();
    let mut batches = EvaluationBatches::new(
        data,
        EvaluationConfig {
            batch_size: options.batch_size,
            preprocessing: preprocessing.clone(),
            workers: options.threads,
            max_skipped_share: options.max_skipped_share,
        },
    )?;
    let mut evaluation = Evaluation::new(classes, options.worst);
    let views = preprocessing.views.count();
    let mut logits = Vec::new();
    while let Some(batch) = batches.next() {
        let mut batch = batch?;
        logits.resize(batch.len() * views * classes, 0.0);
        plan.run(&batch.images, &mut logits)?;
        if views > 1 {
            logits = averaged(&logits, views, classes);
        }
        for label in &mut batch.labels {
            *label += options.label_offset;
        }
        evaluation.add(&batch.indices, &logits, &batch.labels)?;
        progress(batch.len());
        batches.give_back(batch);
    }
    Ok(EvaluationOutcome {
        evaluation,
        skipped: batches.skipped().to_vec(),
        elapsed: start.elapsed(),
    })
}

/// Logits whose softmax is the average of that of the views.
fn averaged(logits: &[f32], views: usize, classes: usize) -> Vec<f32> {
    let photos = logits.chunks_exact(views * classes);
    let logits = |logits| {
        let mean = mean_probabilities(logits, classes);
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
