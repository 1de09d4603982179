//! A whole training of a detector: data, steps, evaluations, checkpoints and logs. It can be resumed.
//!
//! ```text
//! OUT/model.safetensors   the detector after the last evaluation
//! OUT/checkpoints/        the last few states
//! OUT/log.jsonl           every record; OUT/events.out.tfevents.* for TensorBoard
//! OUT/report/             curves, numbers, photos with mistakes
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mobilenet_detect::{Computation, DetectorDescription, DetectorWeights};
use mobilenet_model::checkpoint::Checkpoint;

use super::evaluation::{DetectionOptions, DetectionOutcome, evaluate};
use super::network::SsdNetwork;
use super::photos::DetectionPhotos;
use super::save::save;
use super::trainer::DetectorTrainer;
use crate::augment::MeanStd;
use crate::data::annotations::AnnotatedPhotos;
use crate::data::{Batch, Loader, LoaderConfig, Part, Skipped};
use crate::error::TrainError;
use crate::log::{DetectionRecord, Record, StepRecord};
use crate::recipe::Recipe;
use crate::run::output::{Output, stored};
use crate::run::{Observer, RunOptions};
use crate::trainer::State;

/// Number of photos with mistakes in the report.
const WORST: usize = 12;

/// What to train.
pub struct DetectorJob<'a> {
    /// The settings.
    pub recipe: Recipe,
    /// A classifier's weights, whose body the detector begins with, and their metadata.
    pub backbone: Checkpoint,
    /// The network and its classes.
    pub description: DetectorDescription,
    /// The photos for training.
    pub train: Arc<AnnotatedPhotos>,
    /// The photos for evaluation.
    pub test: Arc<AnnotatedPhotos>,
    /// Folders, threads and so on.
    pub options: &'a RunOptions,
}

/// The result of a run.
#[derive(Debug)]
pub struct DetectorRun {
    /// Steps done.
    pub step: u64,
    /// Whether it was asked to stop. It can then be resumed.
    pub interrupted: bool,
    /// The last evaluation.
    pub evaluation: Option<DetectionOutcome>,
    /// Unusable photos.
    pub skipped: Vec<Skipped>,
}

/// Trains. If `stop` is set, it finishes the step, saves and returns.
///
/// # Errors
/// If settings, data or files cannot be used, or the training diverges. Earlier checkpoints stay valid.
pub fn run(
    job: DetectorJob<'_>,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<DetectorRun, TrainError> {
    let mut training = Training::new(job, observer)?;
    let interrupted = training.steps(stop)?;
    let evaluation = match interrupted {
        true => None,
        false => Some(training.finish()?),
    };
    Ok(DetectorRun {
        step: training.trainer.state().step,
        interrupted,
        evaluation,
        skipped: training.loader.skipped().to_vec(),
    })
}

struct Training<'a> {
    job: DetectorJob<'a>,
    trainer: DetectorTrainer,
    loader: Loader,
    output: Output<'a>,
    evaluated_at: Option<(u64, DetectionOutcome)>,
}

impl<'a> Training<'a> {
    fn new(job: DetectorJob<'a>, observer: &'a mut dyn Observer) -> Result<Self, TrainError> {
        let (recipe, options) = (&job.recipe, job.options);
        let settings = recipe.detection.unwrap_or_default();
        let config = job.description.config();
        let layout = SsdNetwork::layout_of(&config)?;
        let state = match stored(recipe, &layout, &job.backbone.metadata, options, observer)? {
            Some(state) => state,
            None => {
                let (backbone, loss) = (&job.backbone.parameters, &settings.loss.classes);
                let weights = layout.initial(&config, backbone, loss, recipe.seed)?;
                State::new(recipe, &layout, weights)?
            }
        };
        let step = state.step;
        let photos = DetectionPhotos {
            data: job.train.clone(),
            augmentation: settings.augmentation,
        };
        let batches = LoaderConfig {
            batch_size: recipe.batch_size,
            part: Part::WHOLE,
            resolution: recipe.resolution,
            seed: recipe.seed,
            workers: options.workers,
            augmentation: recipe.augmentation,
            normalization: MeanStd {
                mean: job.description.mean,
                std: job.description.std,
            },
            drop_last: true,
            max_skipped_share: options.max_skipped_share,
        };
        let loader = Loader::of(Arc::new(photos), batches, step, 1)?;
        let output = Output::open(
            options,
            step,
            recipe.steps,
            loader.steps_per_epoch(),
            observer,
        )?;
        Ok(Self {
            trainer: DetectorTrainer::new(recipe.clone(), &config, state, options.threads)?,
            job,
            loader,
            output,
            evaluated_at: None,
        })
    }

    /// Does the remaining steps. Returns whether it was asked to stop.
    fn steps(&mut self, stop: &AtomicBool) -> Result<bool, TrainError> {
        let of_epoch = self.loader.steps_per_epoch();
        let options = self.job.options;
        let (save_every, log_every) = (
            options.save_every.unwrap_or(of_epoch).max(1),
            options.log_every.max(1),
        );
        let first = self.trainer.state().step;
        if self.output.misses_evaluation(first, of_epoch) {
            self.evaluate()?;
        }
        let (mut since, mut losses) = (Instant::now(), (0.0, 0u32));
        while self.trainer.state().step < self.job.recipe.steps {
            if stop.load(Ordering::SeqCst) {
                self.save()?;
                return Ok(true);
            }
            let batch = self.loader.next_batch()?;
            self.report_skips();
            let outcome = self.trainer.step(&batch.images, &batch.objects);
            let (outcome, _) = outcome.map_err(|error| self.named(error, &batch))?;
            self.loader.give_back(batch);
            let step = self.trainer.state().step;
            losses = (losses.0 + outcome.total_loss, losses.1 + 1);
            self.output.observer.step(step, outcome.total_loss);
            if step.is_multiple_of(log_every) || step == self.job.recipe.steps {
                let images = f64::from(losses.1) * self.job.recipe.batch_size as f64;
                let record = StepRecord {
                    step,
                    loss: losses.0 / f64::from(losses.1),
                    learning_rate: outcome.learning_rate,
                    images_per_second: images / since.elapsed().as_secs_f64(),
                    staleness: None,
                };
                self.output.record(step, Record::Step(record))?;
                (since, losses) = (Instant::now(), (0.0, 0));
            }
            if step.is_multiple_of(save_every) {
                self.save()?;
            }
            if step.is_multiple_of(of_epoch) {
                let before = Instant::now();
                self.evaluate()?;
                since += before.elapsed();
            }
        }
        Ok(false)
    }

    /// Adds the names of a diverged step's photos to the error.
    fn named(&self, error: TrainError, batch: &Batch) -> TrainError {
        const NAMED: usize = 4;
        let TrainError::NotFinite { step, what } = error else {
            return error;
        };
        let named = batch.indices.iter().take(NAMED);
        let names: Vec<String> = named.map(|&index| self.job.train.name(index)).collect();
        let more = batch.len().saturating_sub(NAMED);
        let photos = format!("{} and {more} more", names.join(", "));
        TrainError::Diverged { step, what, photos }
    }

    fn report_skips(&mut self) {
        let skipped = self.loader.skipped();
        for photo in skipped.iter().skip(self.output.reported_skips) {
            let text = format!("skipped {}: {}", photo.name, photo.reason);
            self.output.observer.message(&text);
        }
        self.output.reported_skips = skipped.len();
    }

    fn save(&self) -> Result<(), TrainError> {
        let (trainer, metadata) = (&self.trainer, &self.job.backbone.metadata);
        let checkpoints = &self.output.checkpoints;
        checkpoints.save(
            trainer.state(),
            trainer.recipe(),
            trainer.layout(),
            metadata,
        )?;
        Ok(())
    }

    /// Saves the detector, and evaluates it as it is used: from its file.
    fn evaluate(&mut self) -> Result<(), TrainError> {
        let step = self.trainer.state().step;
        if matches!(self.evaluated_at, Some((at, _)) if at == step) {
            return Ok(());
        }
        let path = self.job.options.out.join("model.safetensors");
        let weights = self.trainer.state().best_weights();
        save(&path, self.trainer.layout(), weights, &self.job.description)?;
        let detector = DetectorWeights::open(&path, Computation::default())?;
        let options = DetectionOptions {
            threads: self.job.options.threads,
            max_skipped_share: self.job.options.max_skipped_share,
            worst: WORST,
        };
        let outcome = evaluate(&detector, &self.job.test, &options, &mut || ())?;
        let record = DetectionRecord {
            epoch: step.div_ceil(self.loader.steps_per_epoch()),
            ap: outcome.coco.ap,
            ap_50: outcome.coco.ap_50,
        };
        self.output.record(step, Record::Detection(record))?;
        self.evaluated_at = Some((step, outcome));
        Ok(())
    }

    /// Writes the last checkpoint, evaluates, and writes the report.
    fn finish(&mut self) -> Result<DetectionOutcome, TrainError> {
        self.save()?;
        self.evaluate()?;
        let evaluated = self.evaluated_at.take();
        let (_, outcome) = evaluated.ok_or(TrainError::Setting {
            setting: "the evaluation",
            range: "done at the end",
            found: "none".to_string(),
        })?;
        #[cfg(feature = "report")]
        super::report::DetectionReport {
            title: &self.job.description.source,
            recipe: Some(&self.job.recipe),
            history: &self.output.history,
            outcome: &outcome,
            data: &self.job.test,
        }
        .write(&self.job.options.out.join("report"))?;
        Ok(outcome)
    }
}
