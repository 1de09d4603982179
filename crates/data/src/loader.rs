//! Random batches for training.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand_chacha::ChaCha8Rng;

use super::ahead::Ahead;
use super::annotations::Object;
use super::order::{EpochOrder, Purpose, generator};
use super::part::Part;
use super::skipped::{SkippedList, Tolerance, guarded};
use super::{Batch, DataError, ImageDataset, Photo, Skipped};
use crate::augment::{Augmentation, MeanStd};

/// Settings of a [`Loader`].
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// Photos per batch, of all ranks together.
    pub batch_size: usize,
    /// Which photos of each batch this loader makes.
    pub part: Part,
    /// Rows and columns of the network's input.
    pub resolution: usize,
    /// Seed of the order of photos and of augmentation.
    pub seed: u64,
    /// Threads that decode and augment. 0 counts as 1.
    pub workers: usize,
    /// Random changes of each photo.
    pub augmentation: Augmentation,
    /// Normalisation of the pixels.
    pub normalization: MeanStd,
    /// Whether photos at the end of an epoch that do not fill a batch are left out. Otherwise they
    /// are a smaller batch.
    pub drop_last: bool,
    /// Share of the photos that may be unusable. More are an error.
    pub max_skipped_share: f64,
}

impl Default for LoaderConfig {
    /// As slim's script: batches of 64 at size 224. Uses as many threads as the machine has.
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

/// Endless batches of a training run, prepared by worker threads.
///
/// Each epoch has a new order of all photos. A batch depends only on the data set, the seed and the
/// step, not on the number of workers or the first step. The parts of all ranks, one after the
/// other, are the batch of a single process. An unusable photo is replaced by the next good one in
/// the epoch's order, which is augmented differently than at its own position.
///
/// Memory: at most `workers + 2` batches, and one photo per worker. Dropping the loader ends its
/// threads within the time of one photo.
pub struct Loader {
    ahead: Ahead,
    skipped: SkippedList,
    steps_per_epoch: u64,
}

impl Loader {
    /// Starts to prepare batches from a step on: 0, or the step at which a run is resumed.
    ///
    /// # Errors
    /// [`DataError::Settings`] if the data set has no photos, or too few for one batch with
    /// `drop_last`. Also if a size is 0, or a number is invalid.
    pub fn new(
        dataset: Arc<dyn ImageDataset>,
        config: LoaderConfig,
        first_step: u64,
    ) -> Result<Self, DataError> {
        Self::every(dataset, config, first_step, 1)
    }

    /// As [`Self::new`], but only the batches of every so many steps: workers that do not wait for
    /// each other take turns.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn every(
        dataset: Arc<dyn ImageDataset>,
        config: LoaderConfig,
        first_step: u64,
        every: u64,
    ) -> Result<Self, DataError> {
        Self::of(Arc::new(Labelled(dataset)), config, first_step, every)
    }

    /// As [`Self::every`], of photos that know themselves what the network gets of them.
    ///
    /// # Errors
    /// As [`Self::every`].
    pub fn of(
        photos: Arc<dyn TrainingPhotos>,
        config: LoaderConfig,
        first_step: u64,
        every: u64,
    ) -> Result<Self, DataError> {
        let every = every.max(1);
        let images = photos.count();
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
            photos,
            config,
            steps_per_epoch,
            tolerance,
        };
        let fill = move |turn: u64, batch: &mut Batch, stop: &AtomicBool| {
            source.fill(first_step + turn * every, batch, stop)
        };
        let turns = (u64::MAX - first_step) / every;
        Ok(Self {
            ahead: Ahead::start(0..turns, workers, Box::new(fill))?,
            skipped: SkippedList::new(tolerance),
            steps_per_epoch,
        })
    }

    /// The next batch. Waits until it is ready.
    ///
    /// # Errors
    /// [`DataError::TooManySkipped`] if more photos are unusable than allowed.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let end = || DataError::Settings("the last step that can be counted is past".into());
        let (batch, skipped) = self.ahead.next().ok_or_else(end)??;
        self.skipped.add(skipped)?;
        Ok(batch)
    }

    /// Returns a batch that is no longer needed, so that a later one can use its memory.
    pub fn give_back(&self, batch: Batch) {
        self.ahead.give_back(batch);
    }

    /// Unusable photos so far, each once, in the order of the batches taken.
    pub fn skipped(&self) -> &[Skipped] {
        self.skipped.as_slice()
    }

    /// Number of batches per epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }
}

/// What a photo is to be recognised as.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A class.
    Label(u32),
    /// Objects.
    Objects(Vec<Object>),
}

/// Photos of a training.
pub trait TrainingPhotos: Send + Sync {
    /// Number of photos.
    fn count(&self) -> usize;

    /// Name of a photo in messages.
    fn name(&self, index: usize) -> String;

    /// Writes a photo's augmented pixels.
    ///
    /// # Errors
    /// If the photo cannot be read or used.
    fn make(
        &self,
        index: usize,
        config: &LoaderConfig,
        rng: &mut ChaCha8Rng,
        out: &mut [f32],
    ) -> Result<Answer, DataError>;
}

/// Photos with one class each.
struct Labelled(Arc<dyn ImageDataset>);

impl TrainingPhotos for Labelled {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn name(&self, index: usize) -> String {
        self.0.name(index)
    }

    fn make(
        &self,
        index: usize,
        config: &LoaderConfig,
        rng: &mut ChaCha8Rng,
        out: &mut [f32],
    ) -> Result<Answer, DataError> {
        let photo = self.0.load(index)?;
        not_empty(&photo, || self.0.name(index))?;
        let (resolution, normalization) = (config.resolution, &config.normalization);
        let augmentation = config.augmentation;
        augmentation.apply(&photo, resolution, normalization, rng, out);
        Ok(Answer::Label(self.0.label(index) as u32))
    }
}

/// What the workers share.
struct Source {
    photos: Arc<dyn TrainingPhotos>,
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
            // The photo at this position, otherwise the next good one, continuing at the start of
            // the order.
            let candidates = order[position..].iter().chain(&order[..position]);
            for &index in candidates {
                if stop.load(Ordering::Relaxed) || self.tolerance.exceeded(skipped.len()) {
                    return Ok(skipped);
                }
                if skipped.iter().any(|one| one.index == index) {
                    continue;
                }
                match self.make(index, epoch, position, out) {
                    Ok(answer) => {
                        match answer {
                            Answer::Label(label) => batch.labels.push(label),
                            Answer::Objects(objects) => batch.objects.push(objects),
                        }
                        batch.indices.push(index);
                        break;
                    }
                    Err(error) => skipped.push(Skipped {
                        index,
                        name: self.photos.name(index),
                        reason: error.to_string(),
                    }),
                }
            }
        }
        Ok(skipped)
    }

    /// Writes a photo's augmented pixels and returns its answer.
    fn make(
        &self,
        index: usize,
        epoch: u64,
        position: usize,
        out: &mut [f32],
    ) -> Result<Answer, DataError> {
        let config = &self.config;
        let purpose = Purpose::Augmentation(position as u64);
        let mut rng = generator(config.seed, epoch, purpose);
        let name = || self.photos.name(index);
        guarded(name, || self.photos.make(index, config, &mut rng, out))
    }
}

/// Refuses a photo without pixels.
///
/// # Errors
/// Where a side is 0.
pub fn not_empty(photo: &Photo, name: impl Fn() -> String) -> Result<(), DataError> {
    match photo.dimensions() {
        (0, _) | (_, 0) => Err(DataError::malformed(name(), "pixels", "none")),
        _ => Ok(()),
    }
}
