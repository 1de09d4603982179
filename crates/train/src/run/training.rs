//! The sequence of a training, whatever it is of: steps, logs, checkpoints, evaluations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mobilenet_model::checkpoint::Metadata;

use super::options::{Observer, RunOptions};
use super::output::Output;
use super::word::{Agreement, Loss, Word, agree};
use crate::augment::MeanStd;
use crate::data::{Batch, Loader, LoaderConfig, Part, SkippedList, Tolerance};
use crate::error::TrainError;
use crate::layout::ParameterLayout;
use crate::log::{Record, StepRecord};
use crate::parallel::{Communicator, Shares, broadcast, gather, same_on_all};
use crate::recipe::Recipe;
use crate::trainer::{Agree, State, StepOutcome};

/// A network in training, of whose steps each rank computes some shards.
pub(crate) trait Learner {
    fn recipe(&self) -> &Recipe;
    fn state(&self) -> &State;
    fn layout(&self) -> &dyn ParameterLayout;

    /// Computes the shards of a batch, the first of which has the number `first`, and their sum over
    /// all ranks. What `agree` refuses is not summed. The state stays as it is.
    ///
    /// # Errors
    /// Before `agree` was asked, on this rank alone. Later if a rank cannot be reached.
    fn compute(
        &mut self,
        batch: &Batch,
        first: usize,
        communicator: &mut dyn Communicator,
        agree: &mut Agree<'_>,
    ) -> Result<bool, TrainError>;

    /// Updates the state by that sum and the losses of all shards.
    ///
    /// # Errors
    /// If the loss or the gradients' norm is not finite. The state stays as it is then.
    fn apply(&mut self, losses: &[f64]) -> Result<StepOutcome, TrainError>;

    /// Forgets what rounding between ranks has lost.
    fn forget_rounding(&mut self);
}

/// What a training is of.
pub(crate) trait Task: Sized {
    type Learner: Learner;
    type Evaluation;

    /// Number of the photos to train on.
    fn photos(&self) -> usize;

    /// Name of such a photo.
    fn name(&self, photo: usize) -> String;

    /// Saves the weights, and evaluates them if there are photos for that. Rank 0 has the result.
    fn evaluate(training: &mut Training<'_, Self>) -> Result<Option<Self::Evaluation>, TrainError>;
}

/// What a training begins with.
pub(crate) struct Start<'a, T: Task> {
    pub(crate) task: T,
    pub(crate) learner: T::Learner,
    pub(crate) loader: Loader,
    pub(crate) metadata: Metadata,
    pub(crate) options: &'a RunOptions,
    pub(crate) shares: Shares,
    /// Steps of an epoch, also where a step has several batches.
    pub(crate) steps_per_epoch: u64,
}

/// A training in progress, as one rank sees it.
pub(crate) struct Training<'a, T: Task> {
    pub(crate) task: T,
    pub(crate) trainer: T::Learner,
    pub(crate) loader: Loader,
    pub(crate) metadata: Metadata,
    pub(crate) options: &'a RunOptions,
    pub(crate) communicator: &'a mut dyn Communicator,
    shares: Shares,
    /// On rank 0.
    pub(crate) output: Option<Output<'a>>,
    /// Photos that no rank could use.
    pub(crate) skipped: SkippedList,
    /// Number of the loader's skipped photos that the other ranks know of.
    told_skips: usize,
    pub(crate) steps_per_epoch: u64,
    /// Whether the previous run stopped before an evaluation.
    evaluate_first: bool,
    /// The last evaluation, and the steps that were done before it.
    evaluated_at: Option<(u64, Option<T::Evaluation>)>,
}

impl<'a, T: Task> Training<'a, T> {
    /// Opens the files on rank 0.
    pub(crate) fn new(
        start: Start<'a, T>,
        communicator: &'a mut dyn Communicator,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let Start {
            task,
            learner: trainer,
            loader,
            metadata,
            options,
            shares,
            steps_per_epoch,
        } = start;
        let (step, steps) = (trainer.state().step, trainer.recipe().steps);
        let output = match communicator.rank() {
            0 => Some(Output::open(
                options,
                step,
                steps,
                steps_per_epoch,
                observer,
            )?),
            _ => None,
        };
        let misses = |output: &Output<'_>| output.misses_evaluation(step, steps_per_epoch);
        let mut evaluate_first = vec![u8::from(output.as_ref().is_some_and(misses))];
        broadcast(communicator, &mut evaluate_first)?;
        let tolerance = Tolerance::new(task.photos(), options.max_skipped_share)?;
        Ok(Self {
            task,
            trainer,
            loader,
            metadata,
            options,
            communicator,
            shares,
            output,
            skipped: SkippedList::new(tolerance),
            told_skips: 0,
            steps_per_epoch,
            evaluate_first: evaluate_first == [1],
            evaluated_at: None,
        })
    }

    /// Does the remaining steps. Returns whether it was asked to stop.
    pub(crate) fn steps(&mut self, stop: &AtomicBool) -> Result<bool, TrainError> {
        let (steps_per_epoch, save_every) = (self.steps_per_epoch, self.save_every());
        let log_every = self.options.log_every.max(1);
        if self.evaluate_first {
            self.evaluate()?;
        }
        let (mut since, mut losses) = (Instant::now(), (0.0, 0u32));
        while self.trainer.state().step < self.trainer.recipe().steps {
            let (agreement, batch) = self.compute(stop.load(Ordering::SeqCst))?;
            let (shards, skipped) = match agreement {
                Agreement::Stop => {
                    self.save()?;
                    return Ok(true);
                }
                Agreement::GoOn { losses, skipped } => (losses, skipped),
            };
            let rank = self.communicator.rank();
            let too_many = |error| TrainError::from(error).seen_by(rank, 0);
            self.skipped.add(skipped).map_err(too_many)?;
            self.report_skips();
            let outcome = match self.trainer.apply(&shards) {
                Ok(outcome) => outcome,
                Err(error) => return Err(self.with_photos(error, &batch, &shards)),
            };
            self.loader.give_back(batch);
            let step = self.trainer.state().step;
            losses = (losses.0 + outcome.total_loss, losses.1 + 1);
            if let Some(output) = &mut self.output {
                output.observer.step(step, outcome.total_loss);
            }
            if step.is_multiple_of(log_every) || step == self.trainer.recipe().steps {
                let images = f64::from(losses.1) * self.trainer.recipe().batch_size as f64;
                self.record(Record::Step(StepRecord {
                    step,
                    loss: losses.0 / f64::from(losses.1),
                    learning_rate: outcome.learning_rate,
                    images_per_second: images / since.elapsed().as_secs_f64(),
                    staleness: None,
                }))?;
                (since, losses) = (Instant::now(), (0.0, 0));
            }
            if step.is_multiple_of(save_every) {
                self.save()?;
            }
            if step.is_multiple_of(steps_per_epoch) {
                let before = Instant::now();
                self.evaluate()?;
                since += before.elapsed();
            }
        }
        Ok(false)
    }

    /// Steps between checkpoints.
    pub(crate) fn save_every(&self) -> u64 {
        let save_every = self.options.save_every;
        save_every.unwrap_or(self.steps_per_epoch).max(1)
    }

    /// Computes this rank's shards of the next step, and their sum over all ranks, if they agree on
    /// that.
    fn compute(&mut self, stop: bool) -> Result<(Agreement, Batch), TrainError> {
        let batch = match stop {
            true => return Ok((agree(self.communicator, Ok(Word::Stop))?, Batch::default())),
            false => self.loader.next_batch(),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                let agreement = agree(self.communicator, Err(error.into()))?;
                return Ok((agreement, Batch::default()));
            }
        };
        let skipped = self.loader.skipped();
        let new = skipped.get(self.told_skips..).unwrap_or_default().to_vec();
        self.told_skips = skipped.len();
        let first = self.shares.of(self.communicator.rank()).start;
        let mut agreement = None;
        let mut agreed = |communicator: &mut dyn Communicator, losses: &[f64]| {
            let losses = losses.iter().map(|loss| Loss(*loss)).collect();
            let skipped = new.clone();
            let of_all = agree(communicator, Ok(Word::Computed { losses, skipped }));
            let goes_on = matches!(of_all, Ok(Agreement::GoOn { .. }));
            agreement = Some(of_all);
            Ok(goes_on)
        };
        let computed = self
            .trainer
            .compute(&batch, first, self.communicator, &mut agreed);
        let agreement = match (agreement, computed) {
            // It has failed before it could say so.
            (None, computed) => {
                let word = computed.map(|_| Word::Stop);
                agree(self.communicator, word)?
            }
            (Some(of_all), computed) => {
                let of_all = of_all?;
                computed?;
                of_all
            }
        };
        Ok((agreement, batch))
    }

    /// Adds the names of a diverged step's photos to the error: those of the first shard whose loss
    /// is not finite.
    fn with_photos(&mut self, error: TrainError, batch: &Batch, losses: &[f64]) -> TrainError {
        let TrainError::NotFinite { step, what } = error else {
            return error;
        };
        let shard = losses.iter().position(|loss| !loss.is_finite());
        let shard = shard.unwrap_or(0);
        let mut ranks = 0..self.communicator.ranks();
        let rank = ranks.find(|rank| self.shares.of(*rank).contains(&shard));
        let rank = rank.unwrap_or(0);
        let own = self.photos(batch).into_bytes();
        let all = match gather(self.communicator, own) {
            Ok(all) => all,
            Err(error) => return error,
        };
        let photos = all
            .get(rank)
            .map_or("".into(), |text| String::from_utf8_lossy(text));
        let photos = photos.into_owned();
        let error = TrainError::Diverged { step, what, photos };
        error.seen_by(self.communicator.rank(), rank)
    }

    /// The same for a batch of this rank alone.
    pub(crate) fn named(&self, error: TrainError, batch: &Batch) -> TrainError {
        match error {
            TrainError::NotFinite { step, what } => {
                let photos = self.photos(batch);
                TrainError::Diverged { step, what, photos }
            }
            other => other,
        }
    }

    /// Writes a checkpoint, if all ranks have the same weights.
    pub(crate) fn save(&mut self) -> Result<(), TrainError> {
        let state = self.trainer.state();
        if self.communicator.ranks() > 1 {
            let bytes = |sum, value: &f32| crc32c::crc32c_append(sum, &value.to_le_bytes());
            let checksum = state.weights.iter().fold(0, bytes);
            let what = format!("checksum of the weights after step {}", state.step);
            same_on_all(self.communicator, &vec![(what, format!("{checksum:08x}"))])?;
        }
        self.trainer.forget_rounding();
        self.write_checkpoint(self.trainer.state())
    }

    /// Writes a checkpoint, on rank 0.
    pub(crate) fn write_checkpoint(&self, state: &State) -> Result<(), TrainError> {
        if let Some(output) = &self.output {
            let (recipe, layout) = (self.trainer.recipe(), self.trainer.layout());
            let checkpoints = &output.checkpoints;
            checkpoints.save(state, recipe, layout, &self.metadata)?;
        }
        Ok(())
    }

    /// Saves the weights, and evaluates them, if that was not done after this step.
    pub(crate) fn evaluate(&mut self) -> Result<(), TrainError> {
        let step = self.trainer.state().step;
        if !matches!(self.evaluated_at, Some((at, _)) if at == step) {
            self.evaluated_at = Some((step, T::evaluate(self)?));
        }
        Ok(())
    }

    /// Writes the last checkpoint, and evaluates.
    pub(crate) fn finish(&mut self) -> Result<Option<T::Evaluation>, TrainError> {
        self.save()?;
        self.evaluate()?;
        Ok(self.evaluated_at.take().and_then(|(_, outcome)| outcome))
    }

    pub(crate) fn record(&mut self, record: Record) -> Result<(), TrainError> {
        let step = self.trainer.state().step;
        match &mut self.output {
            Some(output) => output.record(step, record),
            None => Ok(()),
        }
    }

    pub(crate) fn report_skips(&mut self) {
        let (skipped, Some(output)) = (self.skipped.as_slice(), &mut self.output) else {
            return;
        };
        for photo in skipped.iter().skip(output.reported_skips) {
            let text = format!("skipped {}: {}", photo.name, photo.reason);
            output.observer.message(&text);
        }
        output.reported_skips = skipped.len();
    }

    /// The first photos of a batch.
    fn photos(&self, batch: &Batch) -> String {
        const NAMED: usize = 4;
        let named = batch.indices.iter().take(NAMED);
        let names: Vec<String> = named.map(|&index| self.task.name(index)).collect();
        let more = batch.len().saturating_sub(NAMED);
        format!("{} and {more} more", names.join(", "))
    }
}

/// What batches a training has.
pub(crate) fn loader_config(
    recipe: &Recipe,
    normalization: MeanStd,
    options: &RunOptions,
    part: Part,
) -> LoaderConfig {
    LoaderConfig {
        batch_size: recipe.batch_size,
        resolution: recipe.resolution,
        seed: recipe.seed,
        workers: options.workers,
        augmentation: recipe.augmentation,
        normalization,
        part,
        drop_last: true,
        max_skipped_share: options.max_skipped_share,
    }
}
