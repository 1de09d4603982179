//! What a network makes of all photos of a data set, shared out among ranks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mobilenet_model::checkpoint::Metadata;
use mobilenet_model::little_endian::bytes_of;
use mobilenet_model::{NetworkWeights, PlanOutput};

use crate::data::{EvaluationBatches, EvaluationConfig, ImageDataset, Skipped};
use crate::error::TrainError;
use crate::evaluation::EvaluationOptions;
use crate::parallel::{Communicator, gather_on_first, write};

/// A row of outputs for each photo that could be used.
pub(super) struct Outputs {
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
    /// Number of each row's photo in the data set.
    pub(super) images: Vec<usize>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) elapsed: Duration,
}

impl Outputs {
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// The rows of all ranks, on rank 0, in the order of one rank.
    pub(super) fn of_all(
        mut self,
        communicator: &mut dyn Communicator,
    ) -> Result<Option<Self>, TrainError> {
        if communicator.ranks() == 1 {
            return Ok(Some(self));
        }
        let about = serde_json::to_vec(&(&self.images, &self.skipped, self.elapsed));
        let about = gather_on_first(communicator, about.map_err(TrainError::message)?)?;
        let values = gather_on_first(communicator, bytes_of(&self.values))?;
        let Some((about, values)) = about.zip(values) else {
            return Ok(None);
        };
        for (about, values) in about.iter().zip(&values).skip(1) {
            let about = serde_json::from_slice(about).map_err(TrainError::message)?;
            let (images, skipped, elapsed): (Vec<usize>, Vec<Skipped>, Duration) = about;
            let start = self.values.len();
            self.values.resize(start + images.len() * self.width, 0.0);
            write(values, &mut self.values[start..])?;
            self.images.extend(images);
            self.skipped.extend(skipped);
            self.elapsed = self.elapsed.max(elapsed);
        }
        Ok(Some(self))
    }
}

/// Computes the last layer's outputs, or features if there is no last layer, averaged over the views of the
/// preprocessing.
pub(super) fn outputs(
    network: &NetworkWeights,
    metadata: &Metadata,
    data: Arc<dyn ImageDataset>,
    options: &EvaluationOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Outputs, TrainError> {
    let preprocessing = &metadata.preprocessing;
    let output = match metadata.classes {
        Some(_) => PlanOutput::Logits,
        None => PlanOutput::Features,
    };
    let mut plan = network.plan(preprocessing.size, options.threads, output)?;
    let width = plan.output_len();
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
    let views = preprocessing.views.count().max(1);
    let (mut values, mut images, mut of_batch) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(batch) = batches.next() {
        let batch = batch?;
        of_batch.resize(batch.len() * views * width, 0.0);
        plan.run(&batch.images, &mut of_batch)?;
        for views_of_photo in of_batch.chunks_exact((views * width).max(1)) {
            let sum = |place| {
                views_of_photo
                    .iter()
                    .skip(place)
                    .step_by(width)
                    .sum::<f32>()
            };
            values.extend((0..width).map(|place| sum(place) / views as f32));
        }
        images.extend_from_slice(&batch.indices);
        progress(batch.len());
        batches.give_back(batch);
    }
    Ok(Outputs {
        width,
        values,
        images,
        skipped: batches.skipped().to_vec(),
        elapsed: start.elapsed(),
    })
}
