//! The sequence of a training: steps, logs, checkpoints, evaluations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mobilenet_model::checkpoint::{self, Checkpoint, LoadReport, Metadata, WeightsDtype};
use mobilenet_model::quantized::{Arithmetic, Freeze, IntegerNetwork};
use mobilenet_model::{FlatLayout, InferencePlan, NetworkWeights, PlanWeights, QuantizedWeights};

use super::options::{Observer, RunOptions, RunOutcome};
use crate::augment::MeanStd;
use crate::checkpoint::Checkpoints;
use crate::data::{Batch, DataError, ImageDataset, Loader, LoaderConfig, OpenData, Part};
use crate::error::TrainError;
use crate::evaluation::{EvaluationOptions, EvaluationOutcome, evaluate_network};
use crate::log::{EpochRecord, History, JsonLines, Record, StepRecord, TensorBoard};
use crate::recipe::Recipe;
use crate::trainer::{State, Trainer};

/// Number of evaluated photos that are kept for the report.
const WORST: usize = 12;

/// A training in progress.
pub(super) struct Training<'a> {
    trainer: Trainer,
    loader: Loader,
    metadata: Metadata,
    data: &'a OpenData,
    options: &'a RunOptions,
    checkpoints: Checkpoints,
    history: History,
    log: JsonLines<std::fs::File>,
    board: TensorBoard,
    observer: &'a mut dyn Observer,
    /// Number of skipped photos that were reported to the observer.
    reported_skips: usize,
    evaluated_at: Option<(u64, Option<EvaluationOutcome>)>,
}

impl<'a> Training<'a> {
    /// Starts from `initial`, or from the newest checkpoint.
    pub(super) fn new(
        recipe: Recipe,
        initial: Checkpoint,
        data: &'a OpenData,
        teacher: Option<InferencePlan>,
        options: &'a RunOptions,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let metadata = initial.metadata;
        let config = recipe.network(metadata.config());
        let layout = FlatLayout::new(&config)?;
        let checkpoints = options.checkpoints();
        std::fs::create_dir_all(&options.out).map_err(TrainError::write(&options.out))?;
        let stored = if options.resume {
            let (state, problems) = checkpoints.newest(&recipe, &layout)?;
            for problem in problems {
                observer.message(&format!("passed over: {problem}"));
            }
            state
        } else if let Some(path) = checkpoints.files()?.into_iter().next() {
            return Err(TrainError::Exists { path });
        } else {
            None
        };
        let state = match stored {
            Some(state) => state,
            None => State::new(&recipe, &layout, layout.flatten(&initial.parameters)?)?,
        };
        let step = state.step;
        let loader = Loader::new(
            data.train.clone(),
            loader_config(&recipe, &metadata, options)?,
            step,
        )?;
        let log_path = options.out.join("log.jsonl");
        let mut history = History::default();
        if step > 0 && log_path.exists() {
            history = History::read(&log_path)?;
        }
        history.truncate(step, step / loader.steps_per_epoch());
        history.write(&log_path)?;
        observer.begin(step, recipe.steps);
        Ok(Self {
            trainer: Trainer::new(recipe, &config, state, teacher, options.threads)?,
            loader,
            metadata,
            data,
            options,
            checkpoints,
            history,
            log: JsonLines::append(&log_path)?,
            board: TensorBoard::create(&options.out, step + 1)?,
            observer,
            reported_skips: 0,
            evaluated_at: None,
        })
    }

    /// Does the remaining steps. Returns whether it was asked to stop.
    pub(super) fn steps(&mut self, stop: &AtomicBool) -> Result<bool, TrainError> {
        let steps_per_epoch = self.loader.steps_per_epoch();
        let save_every = self.options.save_every.unwrap_or(steps_per_epoch).max(1);
        let log_every = self.options.log_every.max(1);
        let done = self.trainer.state().step;
        let epochs = self.history.epochs().map(|record| record.epoch).max();
        if done > 0 && done.is_multiple_of(steps_per_epoch) && epochs < Some(done / steps_per_epoch)
        {
            // The previous run stopped between the epoch's checkpoint and its evaluation.
            self.evaluate()?;
        }
        let (mut since, mut losses) = (Instant::now(), (0.0, 0u32));
        while self.trainer.state().step < self.trainer.recipe().steps {
            if stop.load(Ordering::SeqCst) {
                self.save()?;
                return Ok(true);
            }
            let batch = self.loader.next_batch()?;
            self.report_skips();
            let outcome = self
                .trainer
                .step(&batch.images, &batch.labels)
                .map_err(|error| name_photos(error, &batch, &*self.data.train))?;
            self.loader.give_back(batch);
            let step = self.trainer.state().step;
            self.observer.step(step, outcome.total_loss);
            losses = (losses.0 + outcome.total_loss, losses.1 + 1);
            if step.is_multiple_of(log_every) || step == self.trainer.recipe().steps {
                let images = f64::from(losses.1) * self.trainer.recipe().batch_size as f64;
                self.record(Record::Step(StepRecord {
                    step,
                    loss: losses.0 / f64::from(losses.1),
                    learning_rate: outcome.learning_rate,
                    images_per_second: images / since.elapsed().as_secs_f64(),
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

    fn save(&mut self) -> Result<(), TrainError> {
        let (state, recipe) = (self.trainer.state(), self.trainer.recipe());
        let layout = self.trainer.layout();
        self.checkpoints
            .save(state, recipe, layout, &self.metadata)?;
        Ok(())
    }

    /// The weights as they would be used now.
    fn weights(&self) -> Result<Checkpoint, TrainError> {
        let layout = self.trainer.layout();
        Ok(Checkpoint {
            parameters: layout.tensors(self.trainer.state().best_weights())?,
            metadata: self.metadata.clone(),
            report: LoadReport::default(),
        })
    }

    /// The network of integers, once training rounds.
    fn integers(&self) -> Result<Option<IntegerNetwork>, TrainError> {
        let (recipe, state) = (self.trainer.recipe(), self.trainer.state());
        let quantization = recipe.quantization.zip(state.ranges.as_ref());
        let Some((quantization, ranges)) = quantization.filter(|(q, r)| q.rounds(r.steps)) else {
            return Ok(None);
        };
        let preprocessing = &self.metadata.preprocessing;
        let freeze = Freeze {
            config: &self.metadata.config(),
            weights: state.best_weights(),
            ranges: &ranges.ranges(),
            weight_ranges: None,
            scheme: quantization.scheme.into(),
            size: preprocessing.size,
            pixels: preprocessing.range(),
        };
        Ok(Some(freeze.network()?))
    }

    /// Saves the weights, and evaluates them if there is a test part.
    fn evaluate(&mut self) -> Result<(), TrainError> {
        let step = self.trainer.state().step;
        if matches!(self.evaluated_at, Some((at, _)) if at == step) {
            return Ok(());
        }
        let weights = self.weights()?;
        let path = self.options.out.join("model.safetensors");
        checkpoint::save(&path, &weights, WeightsDtype::F32)?;
        let config = self.metadata.config();
        let network = match self.integers()? {
            Some(integers) => {
                let path = self.options.out.join("model.int8.tflite");
                checkpoint::save_integer_tflite(&path, &integers, &self.metadata)?;
                NetworkWeights::Int8(QuantizedWeights::new(integers, Arithmetic::default())?)
            }
            None => NetworkWeights::F32(PlanWeights::new(&config, &weights.parameters)?),
        };
        let mut outcome = None;
        if let Some(test) = &self.data.test {
            let options = EvaluationOptions {
                batch_size: self.trainer.recipe().batch_size.min(64),
                threads: self.options.threads,
                max_skipped_share: self.options.max_skipped_share,
                worst: WORST,
                subset: None,
                keep_answers: false,
            };
            let evaluated = evaluate_network(
                &network,
                config.classes().unwrap_or(0),
                &self.metadata.preprocessing,
                test.clone(),
                &options,
                &mut |_| (),
            )?;
            let accuracy = evaluated.evaluation.accuracy();
            let record = Record::Epoch(EpochRecord {
                epoch: step.div_ceil(self.loader.steps_per_epoch()),
                accuracy: accuracy.accuracy(),
                recall_5: accuracy.recall_5(),
            });
            self.record(record)?;
            outcome = Some(evaluated);
        }
        self.evaluated_at = Some((step, outcome));
        Ok(())
    }

    /// Writes the last checkpoint, evaluates, and writes the report.
    pub(super) fn finish(&mut self) -> Result<Option<EvaluationOutcome>, TrainError> {
        self.save()?;
        self.evaluate()?;
        let evaluation = self.evaluated_at.take().and_then(|(_, outcome)| outcome);
        #[cfg(feature = "report")]
        if let (Some(outcome), Some(test)) = (&evaluation, &self.data.test) {
            super::report::write(
                &self.options.out.join("report"),
                &self.metadata.source,
                self.trainer.recipe(),
                &self.history,
                outcome,
                &**test,
                &self.weights()?,
            )?;
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
            skipped: self.loader.skipped().to_vec(),
        }
    }

    fn record(&mut self, record: Record) -> Result<(), TrainError> {
        self.log.write(&record)?;
        match &record {
            Record::Step(record) => self.board.step(record)?,
            Record::Epoch(record) => self.board.epoch(self.trainer.state().step, record)?,
        }
        self.observer.record(&record);
        self.history.records.push(record);
        Ok(())
    }

    fn report_skips(&mut self) {
        let skipped = self.loader.skipped();
        for photo in &skipped[self.reported_skips.min(skipped.len())..] {
            let text = format!("skipped {}: {}", photo.name, photo.reason);
            self.observer.message(&text);
        }
        self.reported_skips = skipped.len();
    }
}

fn loader_config(
    recipe: &Recipe,
    metadata: &Metadata,
    options: &RunOptions,
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
        part: Part::WHOLE,
        drop_last: true,
        max_skipped_share: options.max_skipped_share,
    })
}

/// Adds the names of a diverged step's photos to the error.
fn name_photos(error: TrainError, batch: &Batch, data: &dyn ImageDataset) -> TrainError {
    const NAMED: usize = 4;
    match error {
        TrainError::NotFinite { step, what } => {
            let names: Vec<String> = batch
                .indices
                .iter()
                .take(NAMED)
                .map(|&index| data.name(index))
                .collect();
            let more = batch.len().saturating_sub(NAMED);
            let photos = format!("{} and {more} more", names.join(", "));
            TrainError::Diverged { step, what, photos }
        }
        other => other,
    }
}
