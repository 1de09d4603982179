//! Evaluation of attributes and of embeddings.

use std::sync::Arc;
use std::time::Duration;

use mobilenet_model::checkpoint::Metadata;
use mobilenet_model::{Head, NetworkWeights};
use rayon::prelude::*;

use super::outputs::{Outputs, outputs};
use crate::data::pairs::PhotoPairs;
use crate::data::{ImageDataset, Skipped, Targets};
use crate::error::TrainError;
use crate::evaluation::EvaluationOptions;
use crate::log::Measure;
use crate::metrics::{AttributeMetrics, Verification, mean_average_precision};
use crate::parallel::Communicator;

/// Most pairs whose scores are kept: all pairs of 11,000 photos.
const MOST_PAIRS: usize = 1 << 26;

/// How good a network is.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadMetrics {
    /// Of each attribute.
    Attributes(Vec<AttributeMetrics>),
    /// Cosines of pairs tell which photos show the same.
    Verification(Verification),
    /// Mean cosine of the outputs with the vectors to learn.
    Cosine(f64),
}

/// Result of an evaluation.
#[derive(Debug, Clone)]
pub struct HeadOutcome {
    /// The metrics.
    pub metrics: HeadMetrics,
    /// Photos that were used.
    pub photos: usize,
    /// Photos that could not be used.
    pub skipped: Vec<Skipped>,
    /// Time from the first photo to the last.
    pub elapsed: Duration,
}

impl HeadOutcome {
    /// The one number that says how good it is.
    pub fn measured(&self) -> (Measure, Option<f64>) {
        match &self.metrics {
            HeadMetrics::Attributes(attributes) => (
                Measure::MeanAveragePrecision,
                mean_average_precision(attributes),
            ),
            HeadMetrics::Verification(pairs) => (Measure::AreaUnderRoc, Some(pairs.area())),
            HeadMetrics::Cosine(mean) => (Measure::MeanCosine, Some(*mean)),
        }
    }

    fn new(metrics: HeadMetrics, outputs: Outputs) -> Self {
        Self {
            metrics,
            photos: outputs.images.len(),
            skipped: outputs.skipped,
            elapsed: outputs.elapsed,
        }
    }
}

/// Evaluates a network on a data set: attributes by the data's targets; an embedding by the data's
/// vectors, otherwise by all pairs of photos, which show the same if they have the same class. A network
/// without a last layer has its features as an embedding. Ranks share the photos out by the options' part;
/// rank 0 has the outcome.
///
/// # Errors
/// If the network is a classifier, data and network have other widths, there are too few or too many
/// pairs, too many photos are unusable, or a rank cannot be reached.
pub fn evaluate(
    network: &NetworkWeights,
    metadata: &Metadata,
    data: Arc<dyn ImageDataset>,
    options: &EvaluationOptions,
    communicator: &mut dyn Communicator,
    progress: &mut dyn FnMut(usize),
) -> Result<Option<HeadOutcome>, TrainError> {
    let head = head_of(metadata)?;
    let targets = data.targets().cloned();
    let rows = outputs(network, metadata, data.clone(), options, progress)?;
    let Some(rows) = rows.of_all(communicator)? else {
        return Ok(None);
    };
    let metrics = match (head, targets) {
        (Head::Attributes, Some(targets)) => {
            HeadMetrics::Attributes(attributes(&rows, &targets, data.class_names())?)
        }
        (Head::Embedding, Some(targets)) => HeadMetrics::Cosine(mean_cosine(&rows, &targets)?),
        (Head::Embedding, None) => {
            let labels: Vec<usize> = rows.images.iter().map(|&image| data.label(image)).collect();
            HeadMetrics::Verification(all_pairs(&rows, &labels)?)
        }
        (head, _) => return Err(wrong_head(head)),
    };
    Ok(Some(HeadOutcome::new(metrics, rows)))
}

/// The same by given pairs. A pair with an unusable photo is left out.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_pairs(
    network: &NetworkWeights,
    metadata: &Metadata,
    pairs: &PhotoPairs,
    options: &EvaluationOptions,
    communicator: &mut dyn Communicator,
    progress: &mut dyn FnMut(usize),
) -> Result<Option<HeadOutcome>, TrainError> {
    if head_of(metadata)? != Head::Embedding {
        return Err(wrong_head(metadata.head));
    }
    let rows = outputs(network, metadata, pairs.photos.clone(), options, progress)?;
    let Some(rows) = rows.of_all(communicator)? else {
        return Ok(None);
    };
    let units = units(&rows);
    let mut by_photo: Vec<Option<&[f32]>> = vec![None; pairs.photos.len()];
    for (unit, &image) in units.chunks(rows.width.max(1)).zip(&rows.images) {
        if let Some(place) = by_photo.get_mut(image) {
            *place = Some(unit);
        }
    }
    let of = |photo: usize| by_photo.get(photo).copied().flatten();
    let (mut same, mut different) = (Vec::new(), Vec::new());
    for pair in &pairs.pairs {
        if let (Some(a), Some(b)) = (of(pair.photos[0]), of(pair.photos[1])) {
            let to = if pair.is_same {
                &mut same
            } else {
                &mut different
            };
            to.push(dot(a, b));
        }
    }
    let metrics = HeadMetrics::Verification(Verification::new(same, different)?);
    Ok(Some(HeadOutcome::new(metrics, rows)))
}

/// What is measured.
fn head_of(metadata: &Metadata) -> Result<Head, TrainError> {
    match (metadata.head, metadata.classes) {
        (_, None) => Ok(Head::Embedding),
        (Head::Classes, Some(_)) => Err(wrong_head(Head::Classes)),
        (head, Some(_)) => Ok(head),
    }
}

fn wrong_head(head: Head) -> TrainError {
    TrainError::Setting {
        setting: "what the last layer tells",
        range: "what the data has: attributes, or an embedding",
        found: format!("{head:?}").to_lowercase(),
    }
}

fn attributes(
    rows: &Outputs,
    targets: &Targets,
    names: &[String],
) -> Result<Vec<AttributeMetrics>, TrainError> {
    TrainError::check_length("attributes", rows.width, targets.width())?;
    let metrics = names.iter().enumerate().map(|(place, name)| {
        let examples = rows.rows().zip(&rows.images).filter_map(|(row, &image)| {
            let target = targets.row(image)?.get(place)?;
            Some((*row.get(place)?, *target))
        });
        AttributeMetrics::new(name.clone(), examples)
    });
    Ok(metrics.collect())
}

fn mean_cosine(rows: &Outputs, targets: &Targets) -> Result<f64, TrainError> {
    TrainError::check_length("numbers of a vector", rows.width, targets.width())?;
    let units = units(rows);
    let units = units.chunks(rows.width.max(1)).zip(&rows.images);
    let cosines =
        units.filter_map(|(unit, &image)| Some(f64::from(dot(unit, targets.row(image)?))));
    Ok(cosines.sum::<f64>() / rows.images.len().max(1) as f64)
}

fn all_pairs(rows: &Outputs, labels: &[usize]) -> Result<Verification, TrainError> {
    let photos = labels.len();
    let pairs = photos.saturating_mul(photos.saturating_sub(1)) / 2;
    if pairs > MOST_PAIRS {
        return Err(TrainError::Setting {
            setting: "the number of pairs",
            range: "at most 67 million; give a list of pairs instead",
            found: format!("{pairs} of {photos} photos"),
        });
    }
    let units = units(rows);
    let units: Vec<&[f32]> = units.chunks(rows.width.max(1)).collect();
    let with_later = |(first, (unit, label)): (usize, (&&[f32], &usize))| {
        let (mut same, mut different) = (Vec::new(), Vec::new());
        for (other, its_label) in units.iter().zip(labels).skip(first + 1) {
            let to = if label == its_label {
                &mut same
            } else {
                &mut different
            };
            to.push(dot(unit, other));
        }
        (same, different)
    };
    let all: Vec<_> = units
        .par_iter()
        .zip(labels)
        .enumerate()
        .map(with_later)
        .collect();
    let (same, different): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    Verification::new(same.concat(), different.concat())
}

/// The rows, scaled to length 1.
fn units(rows: &Outputs) -> Vec<f32> {
    let mut units = rows.values.clone();
    for row in units.chunks_mut(rows.width.max(1)) {
        let square: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
        let length = square.sqrt().max(1e-12);
        row.iter_mut()
            .for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
    units
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
