//! Random batches for training.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ahead::Ahead;
use super::order::{EpochOrder, Purpose, generator};
use super::part::Part;
use super::skipped::{SkippedList, Tolerance, guarded};
use super::{Batch, DataError, ImageDataset, Photo, Skipped};
use crate::augment::{Augmentation, MeanStd};

/// How batches are made.
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// Photos of a batch, of all ranks together.
    pub batch_size: usize,
    /// Which photos of each batch this loader makes.
    pub part: Part,
    /// Rows and columns of the network's input.
    pub resolution: usize,
    /// Fixes the order of the photos and all that augmentation does.
    pub seed: u64,
    /// Threads that decode and augment; 0 counts as 1.
    pub workers: usize,
    /// What happens to each photo.
    pub augmentation: Augmentation,
    /// How its pixels are scaled.
    pub normalization: MeanStd,
    /// Whether the photos at an epoch's end that do not fill a batch are left out; otherwise they
    /// make a smaller one.
    pub drop_last: bool,
    /// Share of the photos that may be unusable before that is an error.
    pub max_skipped_share: f64,
}

impl Default for LoaderConfig {
    /// slim's script: batches of 64 at 224; as many threads as the machine has.
    fn default() -> Self {
        Self {
            batch_size: 64,
            part: Part::WHOLE,
            resolution: 224,
            seed: 0,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            augmentation: Augmentation::SLIM,
            normalization: MeanStd::default(),
            drop_last: true,
            max_skipped_share: 0.01,
        }
    }
}

/// Batches of a training run, without end, made ahead on worker threads.
///
/// Each epoch has a new order of all photos. A batch is a function of the data set, the seed and the
/// step: neither the number of workers nor the first step changes it. The parts of several ranks,
/// one after the other, are the batch of one. An unusable photo is replaced by the next good one of
/// the epoch's order, with an augmentation of its own.
///
/// Memory: at most `workers + 2` batches, and one photo a worker. Dropping the loader ends its
/// threads within the time of one photo.
pub struct Loader {
    ahead: Ahead,
    skipped: SkippedList,
    steps_per_epoch: u64,
}

impl Loader {
    /// Starts to make batches from a step on: 0, or where a run is resumed.
    ///
    /// # Errors
    /// [`DataError::Settings`] if the data set has no photos, or too few for one batch with
    /// `drop_last`; if a size is 0, or a number cannot be used.
    pub fn new(
        dataset: Arc<dyn ImageDataset>,
        config: LoaderConfig,
        first_step: u64,
    ) -> Result<Self, DataError> {
        let images = dataset.len();
        let LoaderConfig {
            batch_size,
            resolution,
            drop_last,
            ..
        } = config;
        let reject = |message: String| Err(DataError::Settings(message));
        if batch_size == 0 || !(1..=1 << 15).contains(&resolution) {
            return reject(format!("batches of {batch_size} photos at {resolution}"));
        }
        if images == 0 || (drop_last && images < batch_size) {
            return reject(format!(
                "the data set has {images} photos, a batch needs {batch_size}"
            ));
        }
        config.part.check(batch_size)?;
        let MeanStd { mean, std } = config.normalization;
        if !mean.iter().chain(&std).all(|value| value.is_finite()) || std.contains(&0.0) {
            return reject(format!("mean {mean:?} with standard deviation {std:?}"));
        }
        let tolerance = Tolerance::new(images, config.max_skipped_share)?;
        let steps_per_epoch = if drop_last {
            images / batch_size
        } else {
            images.div_ceil(batch_size)
        } as u64;
        let workers = config.workers;
        let source = Source {
            order: EpochOrder::new(config.seed, images),
            dataset,
            config,
            steps_per_epoch,
            tolerance,
        };
        let fill = move |step, batch: &mut Batch, stop: &AtomicBool| source.fill(step, batch, stop);
        Ok(Self {
            ahead: Ahead::start(first_step..u64::MAX, workers, Box::new(fill))?,
            skipped: SkippedList::new(tolerance),
            steps_per_epoch,
        })
    }

    /// The next batch, waiting for it if need be.
    ///
    /// # Errors
    /// [`DataError::TooManySkipped`] if more photos are unusable than allowed.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let end = || DataError::Settings("the last step that can be counted is past".into());
        let (batch, skipped) = self.ahead.next().ok_or_else(end)??;
        self.skipped.add(skipped)?;
        Ok(batch)
    }

    /// Lets a later batch use the memory of one that is no longer needed.
    pub fn give_back(&self, batch: Batch) {
        self.ahead.give_back(batch);
    }

    /// Photos found unusable so far, each once, in the order of the batches taken.
    pub fn skipped(&self) -> &[Skipped] {
        self.skipped.as_slice()
    }

    /// Batches of an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }
}

/// What the workers share.
struct Source {
    dataset: Arc<dyn ImageDataset>,
    config: LoaderConfig,
    order: EpochOrder,
    steps_per_epoch: u64,
    tolerance: Tolerance,
}

impl Source {
    fn fill(
        &self,
        step: u64,
        batch: &mut Batch,
        stop: &AtomicBool,
    ) -> Result<Vec<Skipped>, DataError> {
        let epoch = step / self.steps_per_epoch;
        batch.restart(step, epoch);
        let order = self.order.of(epoch);
        let first = (step % self.steps_per_epoch) as usize * self.config.batch_size;
        let positions = first..(first + self.config.batch_size).min(order.len());
        let positions = self.config.part.of(positions);
        let pixels = self.config.resolution.pow(2) * 3;
        let mut skipped: Vec<Skipped> = Vec::new();
        for position in positions {
            let start = batch.images.len();
            batch.images.resize(start + pixels, 0.0);
            let out = &mut batch.images[start..];
            // The position's own photo, else the next good one; round the end to the beginning.
            let candidates = order[position..].iter().chain(&order[..position]);
            for &index in candidates {
                if stop.load(Ordering::Relaxed) || self.tolerance.exceeded(skipped.len()) {
                    return Ok(skipped);
                }
                if skipped.iter().any(|one| one.index == index) {
                    continue;
                }
                match self.make(index, epoch, position, out) {
                    Ok(label) => {
                        batch.labels.push(label);
                        batch.indices.push(index);
                        break;
                    }
                    Err(error) => skipped.push(Skipped {
                        index,
                        name: self.dataset.name(index),
                        reason: error.to_string(),
                    }),
                }
            }
        }
        Ok(skipped)
    }

    /// Writes a photo's augmented pixels and returns its class.
    fn make(
        &self,
        index: usize,
        epoch: u64,
        position: usize,
        out: &mut [f32],
    ) -> Result<u32, DataError> {
        let config = &self.config;
        let purpose = Purpose::Augmentation(position as u64);
        let mut rng = generator(config.seed, epoch, purpose);
        let name = || self.dataset.name(index);
        guarded(name, || {
            let photo = self.dataset.load(index)?;
            not_empty(&photo, name)?;
            let (resolution, normalization) = (config.resolution, &config.normalization);
            config
                .augmentation
                .apply(&photo, resolution, normalization, &mut rng, out);
            Ok(self.dataset.label(index) as u32)
        })
    }
}

fn not_empty(photo: &Photo, name: impl Fn() -> String) -> Result<(), DataError> {
    match photo.dimensions() {
        (0, _) | (_, 0) => Err(DataError::malformed(name(), "pixels", "none")),
        _ => Ok(()),
    }
}
