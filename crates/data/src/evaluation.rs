//! Batches for evaluation: every photo once, in order, with the preprocessing of inference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mobilenet_photos::Preprocessing;

use super::ahead::Ahead;
use super::skipped::{SkippedList, Tolerance, guarded};
use super::{Batch, DataError, ImageDataset, Part, Skipped};

/// Settings of [`EvaluationBatches`].
#[derive(Debug, Clone)]
pub struct EvaluationConfig {
    /// Photos per batch. The last batch may have fewer.
    pub batch_size: usize,
    /// Which of the batches these are. The batches of all ranks, one after the other, are those of a
    /// single process.
    pub part: Part,
    /// The preprocessing of the weights.
    pub preprocessing: Preprocessing,
    /// Threads that decode and preprocess. 0 counts as 1.
    pub workers: usize,
    /// Share of the photos that may be unusable. More are an error.
    pub max_skipped_share: f64,
}

/// The batches of one evaluation, prepared by worker threads.
///
/// `images` is `[batch, views, rows, columns, channels]` by the preprocessing. An unusable photo is left
/// out of its batch. The iterator ends after an error.
pub struct EvaluationBatches {
    ahead: Ahead,
    skipped: SkippedList,
    failed: bool,
}

impl EvaluationBatches {
    /// Starts to prepare the batches.
    ///
    /// # Errors
    /// [`DataError::Settings`] if the data set has no photos, or a number is invalid.
    pub fn new(
        dataset: Arc<dyn ImageDataset>,
        config: EvaluationConfig,
    ) -> Result<Self, DataError> {
        let images = dataset.len();
        let batch_size = config.batch_size;
        if batch_size == 0 || images == 0 {
            let message = format!("batches of {batch_size} from {images} photos");
            return Err(DataError::Settings(message));
        }
        let tolerance = Tolerance::new(images, config.max_skipped_share)?;
        let steps = config.part.of(0..images.div_ceil(batch_size));
        let steps = steps.start as u64..steps.end as u64;
        let workers = config.workers;
        let fill = move |step: u64, batch: &mut Batch, stop: &AtomicBool| {
            batch.restart(step, 0);
            let first = step as usize * batch_size;
            let mut skipped = Vec::new();
            for index in first..(first + batch_size).min(images) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let name = || dataset.name(index);
                let pixels = guarded(name, || {
                    Ok(config.preprocessing.views(&dataset.load(index)?)?)
                });
                match pixels {
                    Ok(pixels) => {
                        batch.images.extend_from_slice(&pixels);
                        batch.labels.push(dataset.label(index) as u32);
                        batch.indices.push(index);
                    }
                    Err(error) => skipped.push(Skipped {
                        index,
                        name: name(),
                        reason: error.to_string(),
                    }),
                }
            }
            Ok(skipped)
        };
        Ok(Self {
            ahead: Ahead::start(steps, workers, Box::new(fill))?,
            skipped: SkippedList::new(tolerance),
            failed: false,
        })
    }

    /// Unusable photos so far.
    pub fn skipped(&self) -> &[Skipped] {
        self.skipped.as_slice()
    }

    /// Returns a batch that is no longer needed, so that a later one can use its memory.
    pub fn give_back(&self, batch: Batch) {
        self.ahead.give_back(batch);
    }

    fn advance(&mut self) -> Option<Result<Batch, DataError>> {
        loop {
            let made = self.ahead.next()?;
            let batch = made.and_then(|(batch, skipped)| {
                self.skipped.add(skipped)?;
                Ok(batch)
            });
            // A batch is empty if all of its photos are unusable.
            match batch {
                Ok(batch) if batch.is_empty() => self.give_back(batch),
                batch => return Some(batch),
            }
        }
    }
}

impl Iterator for EvaluationBatches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}
