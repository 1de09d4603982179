//! The sequence of a training: steps, logs, checkpoints, evaluations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mobilenet_model::checkpoint::Metadata;
use mobilenet_model::{FlatLayout, InferencePlan};

use super::options::{Job, Observer, RunOptions, RunOutcome};
use super::output::{Output, stored};
use super::terms;
use super::word::{Agreement, Loss, Word, agree};
use crate::augment::MeanStd;
use crate::checkpoint::broadcast_state;
use crate::data::{
    Batch, DataError, ImageDataset, Loader, LoaderConfig, OpenData, Part, SkippedList, Tolerance,
};
use crate::error::TrainError;
use crate::evaluation::EvaluationOutcome;
use crate::heads::HeadOutcome;
use crate::log::{Record, StepRecord};
use crate::parallel::{Communicator, Shares, broadcast, gather, same_on_all};
use crate::recipe::Recipe;
use crate::trainer::{State, Trainer};

/// A training in progress, as one rank sees it.
pub(super) struct Training<'a> {
    pub(super) trainer: Trainer,
    pub(super) loader: Loader,
    pub(super) metadata: Metadata,
    pub(super) data: &'a OpenData,
    pub(super) options: &'a RunOptions,
    pub(super) communicator: &'a mut dyn Communicator,
    shares: Shares,
    /// On rank 0.
    pub(super) output: Option<Output<'a>>,
    /// Photos that no rank could use.
    pub(super) skipped: SkippedList,
    /// Number of the loader's skipped photos that the other ranks know of.
    told_skips: usize,
    /// Steps of an epoch, also where a step has several batches.
    pub(super) steps_per_epoch: u64,
    /// Whether the previous run stopped before an evaluation.
    evaluate_first: bool,
    pub(super) evaluated_at: Option<(u64, Option<EvaluationOutcome>)>,
    /// The last evaluation of what is no classifier.
    pub(super) measured: Option<HeadOutcome>,
}

impl<'a> Training<'a> {
    /// Starts from the initial weights, or from the newest checkpoint.
    pub(super) fn new(
        job: Job<'a>,
        teacher: Option<InferencePlan>,
        communicator: &'a mut dyn Communicator,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let Job {
            recipe,
            initial,
            data,
            replicas,
            options,
        } = job;
        let metadata = initial.metadata;
        let config = recipe.network(metadata.config());
        let layout = FlatLayout::new(&config)?;
        let (rank, ranks) = (communicator.rank(), communicator.ranks());
        check_head(&metadata, &recipe)?;
        let shares = match replicas {
            None => Shares::new(recipe.shards, ranks)?,
            // A worker computes whole batches.
            Some(replicas) => {
                replicas.check(ranks, &recipe)?;
                Shares::new(recipe.shards, 1)?
            }
        };
        let mut terms = terms::of_training(&recipe, &metadata, data, options)?;
        terms.push(("servers and workers".into(), format!("{replicas:?}")));
        same_on_all(communicator, &terms)?;
        let is_first = communicator.rank() == 0;
        let state = match is_first {
            false => None,
            true => match stored(&recipe, &layout, &metadata, options, observer)? {
                Some(state) => Some(state),
                None => {
                    let weights = layout.flatten(&initial.parameters)?;
                    Some(State::new(&recipe, &layout, weights)?)
                }
            },
        };
        let state = broadcast_state(communicator, state, &recipe, &layout, &metadata)?;
        let (step, steps) = (state.step, recipe.steps);
        let batches = replicas
            .and_then(|replicas| replicas.aggregate)
            .unwrap_or(1) as u64;
        let (part, first, every) = match replicas {
            None => (Part { rank, world: ranks }, step, 1),
            // Workers take turns.
            Some(replicas) => {
                let worker = rank.saturating_sub(replicas.servers) as u64;
                let workers = (ranks - replicas.servers) as u64;
                (Part::WHOLE, step * batches + worker, workers)
            }
        };
        let batches_of = loader_config(&recipe, &metadata, options, part)?;
        let loader = Loader::every(data.train.clone(), batches_of, first, every)?;
        let of_epoch = (loader.steps_per_epoch() / batches).max(1);
        let output = match is_first {
            true => Some(Output::open(options, step, steps, of_epoch, observer)?),
            false => None,
        };
        let misses = |output: &Output<'_>| output.misses_evaluation(step, of_epoch);
        let mut evaluate_first = vec![u8::from(output.as_ref().is_some_and(misses))];
        broadcast(communicator, &mut evaluate_first)?;
        let tolerance = Tolerance::new(data.train.len(), options.max_skipped_share)?;
        Ok(Self {
            trainer: Trainer::new(recipe, &config, state, teacher, options.threads)?
                .with_targets(data.train.targets().cloned()),
            loader,
            metadata,
            data,
            options,
            communicator,
            shares,
            output,
            skipped: SkippedList::new(tolerance),
            told_skips: 0,
            steps_per_epoch: of_epoch,
            evaluate_first: evaluate_first == [1],
            evaluated_at: None,
            measured: None,
        })
    }

    /// Does the remaining steps. Returns whether it was asked to stop.
    pub(super) fn steps(&mut self, stop: &AtomicBool) -> Result<bool, TrainError> {
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
    pub(super) fn save_every(&self) -> u64 {
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
        let (images, labels) = (&batch.images, &batch.labels);
        let computed =
            self.trainer
                .compute_together(images, labels, first, self.communicator, &mut agreed);
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
        let own = photos(batch, &*self.data.train).into_bytes();
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
    pub(super) fn named(&self, error: TrainError, batch: &Batch) -> TrainError {
        match error {
            TrainError::NotFinite { step, what } => {
                let photos = photos(batch, &*self.data.train);
                TrainError::Diverged { step, what, photos }
            }
            other => other,
        }
    }

    /// Writes a checkpoint, if all ranks have the same weights.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
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
    pub(super) fn write_checkpoint(&self, state: &State) -> Result<(), TrainError> {
        if let Some(output) = &self.output {
            let (recipe, layout) = (self.trainer.recipe(), self.trainer.layout());
            let checkpoints = &output.checkpoints;
            checkpoints.save(state, recipe, layout, &self.metadata)?;
        }
        Ok(())
    }

    /// Writes the last checkpoint, evaluates, and writes the report.
    pub(super) fn finish(&mut self) -> Result<Option<EvaluationOutcome>, TrainError> {
        self.save()?;
        self.evaluate()?;
        let evaluation = self.evaluated_at.take().and_then(|(_, outcome)| outcome);
        #[cfg(feature = "report")]
        if let (Some(outcome), Some(test), Some(output)) =
            (&evaluation, &self.data.test, &self.output)
        {
            super::report::write(
                &self.options.out.join("report"),
                &self.metadata.source,
                self.trainer.recipe(),
                &output.history,
                outcome,
                &**test,
                &self.weights()?,
            )?;
        }
        #[cfg(feature = "report")]
        if let (Some(outcome), Some(output)) = (&self.measured, &self.output) {
            crate::report::HeadReport {
                title: &self.metadata.source,
                recipe: Some(self.trainer.recipe()),
                history: &output.history,
                outcome,
            }
            .write(&self.options.out.join("report"))?;
        }
        Ok(evaluation)
    }

    pub(super) fn outcome(
        &self,
        interrupted: bool,
        evaluation: Option<EvaluationOutcome>,
    ) -> RunOutcome {
        RunOutcome {
            step: self.trainer.state().step,
            interrupted,
            evaluation,
            measured: self.measured.clone(),
            skipped: self.skipped.as_slice().to_vec(),
        }
    }

    pub(super) fn record(&mut self, record: Record) -> Result<(), TrainError> {
        let step = self.trainer.state().step;
        match &mut self.output {
            Some(output) => output.record(step, record),
            None => Ok(()),
        }
    }

    pub(super) fn report_skips(&mut self) {
        let (skipped, Some(output)) = (self.skipped.as_slice(), &mut self.output) else {
            return;
        };
        for photo in skipped.iter().skip(output.reported_skips) {
            let text = format!("skipped {}: {}", photo.name, photo.reason);
            output.observer.message(&text);
        }
        output.reported_skips = skipped.len();
    }
}

fn loader_config(
    recipe: &Recipe,
    metadata: &Metadata,
    options: &RunOptions,
    part: Part,
) -> Result<LoaderConfig, TrainError> {
    let normalization = MeanStd::of(&metadata.preprocessing).ok_or_else(|| {
        let channels = metadata.preprocessing.channels();
        DataError::Settings(format!("photos have 3 channels, the network {channels}"))
    })?;
    Ok(LoaderConfig {
        batch_size: recipe.batch_size,
        resolution: recipe.resolution,
        seed: recipe.seed,
        workers: options.workers,
        augmentation: recipe.augmentation,
        normalization,
        part,
        drop_last: true,
        max_skipped_share: options.max_skipped_share,
    })
}

/// What is no classifier is evaluated in f32.
fn check_head(metadata: &Metadata, recipe: &Recipe) -> Result<(), TrainError> {
    match metadata.head.is_classes() || recipe.quantization.is_none() {
        true => Ok(()),
        false => Err(TrainError::Setting {
            setting: "the training",
            range: "in f32 for attributes and embeddings",
            found: "for integers".to_string(),
        }),
    }
}

/// The first photos of a batch.
fn photos(batch: &Batch, data: &dyn ImageDataset) -> String {
    const NAMED: usize = 4;
    let named = batch.indices.iter().take(NAMED);
    let names: Vec<String> = named.map(|&index| data.name(index)).collect();
    let more = batch.len().saturating_sub(NAMED);
    format!("{} and {more} more", names.join(", "))
}
