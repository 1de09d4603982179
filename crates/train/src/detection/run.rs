//! A whole training of a detector: data, steps, evaluations, checkpoints and logs. It can be resumed.
//!
//! ```text
//! OUT/model.safetensors   the detector after the last evaluation
//! OUT/checkpoints/        the last few states
//! OUT/log.jsonl           every record; OUT/events.out.tfevents.* for TensorBoard
//! OUT/report/             curves, numbers, photos with mistakes
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mobilenet_detect::{DetectorDescription, DetectorWeights};
use mobilenet_model::checkpoint::{Checkpoint, CheckpointError, Format, ReadLimits};

use super::evaluation::{DetectionOptions, DetectionOutcome, evaluate};
use super::network::SsdNetwork;
use super::photos::DetectionPhotos;
use super::save::to_bytes;
use super::trainer::DetectorTrainer;
use crate::augment::MeanStd;
use crate::data::annotations::AnnotatedPhotos;
use crate::data::{Batch, Loader, Part, Skipped};
use crate::error::TrainError;
use crate::file::write_atomically;
use crate::layout::ParameterLayout;
use crate::log::{DetectionRecord, Record};
use crate::parallel::{Communicator, Shares, same_on_all};
use crate::recipe::Recipe;
use crate::run::output::first_state;
use crate::run::terms;
use crate::run::training::{Learner, Start, Task, Training, loader_config};
use crate::run::{Observer, RunOptions};
use crate::trainer::{Agree, State, StepOutcome};

/// Number of photos with mistakes in the report.
const WORST: usize = 12;

/// What to train.
pub struct DetectorJob<'a> {
    /// The settings.
    pub recipe: Recipe,
    /// A classifier's weights, whose body the detector begins with, which count on rank 0 only; and
    /// their metadata.
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
    /// The last evaluation, on rank 0.
    pub evaluation: Option<DetectionOutcome>,
    /// Unusable photos.
    pub skipped: Vec<Skipped>,
}

/// Trains. If `stop` is set on any rank, all of them finish the step, rank 0 saves, and they return.
///
/// # Errors
/// If settings, data or files cannot be used, or the training diverges. Earlier checkpoints stay valid.
/// A rank that learns of another one's error returns [`TrainError::OtherRank`].
pub fn run(
    job: DetectorJob<'_>,
    communicator: &mut dyn Communicator,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<DetectorRun, TrainError> {
    let mut training = start(job, communicator, observer)?;
    let interrupted = training.steps(stop)?;
    let evaluation = match interrupted {
        true => None,
        false => training.finish()?,
    };
    #[cfg(feature = "report")]
    if let (Some(outcome), Some(output)) = (&evaluation, &training.output) {
        super::report::DetectionReport {
            title: &training.task.description.source,
            recipe: Some(training.trainer.recipe()),
            history: &output.history,
            outcome,
            data: &training.task.test,
        }
        .write(&training.options.out.join("report"))?;
    }
    Ok(DetectorRun {
        step: training.trainer.state().step,
        interrupted,
        evaluation,
        skipped: training.skipped.as_slice().to_vec(),
    })
}

impl Learner for DetectorTrainer {
    fn recipe(&self) -> &Recipe {
        self.recipe()
    }

    fn state(&self) -> &State {
        self.state()
    }

    fn layout(&self) -> &dyn ParameterLayout {
        self.layout()
    }

    fn compute(
        &mut self,
        batch: &Batch,
        _: usize,
        communicator: &mut dyn Communicator,
        agree: &mut Agree<'_>,
    ) -> Result<bool, TrainError> {
        self.compute_together(&batch.images, &batch.objects, communicator, agree)
    }

    fn apply(&mut self, losses: &[f64]) -> Result<StepOutcome, TrainError> {
        self.apply(losses)
    }

    fn forget_rounding(&mut self) {
        self.forget_rounding();
    }
}

/// The photos, and what is to be found in them.
struct Annotated {
    description: DetectorDescription,
    train: Arc<AnnotatedPhotos>,
    test: Arc<AnnotatedPhotos>,
}

impl Task for Annotated {
    type Learner = DetectorTrainer;
    type Evaluation = DetectionOutcome;

    fn photos(&self) -> usize {
        self.train.len()
    }

    fn name(&self, photo: usize) -> String {
        self.train.name(photo)
    }

    /// Evaluates the detector as it is used, from its file, which other ranks have in memory only.
    fn evaluate(training: &mut Training<'_, Self>) -> Result<Option<DetectionOutcome>, TrainError> {
        let (trainer, task) = (&training.trainer, &training.task);
        let path = training.options.out.join("model.safetensors");
        let weights = trainer.state().best_weights();
        let file = to_bytes(&path, trainer.layout(), weights, &task.description)?;
        if training.output.is_some() {
            write_atomically(&path, &file)?;
        }
        let tensors = Format::Safetensors.read(&file, ReadLimits::default());
        let tensors = tensors.map_err(|source| {
            let path = path.clone();
            CheckpointError::Read { path, source }
        })?;
        let detector = DetectorWeights::of_tensors(&path.display().to_string(), &tensors)?;
        let options = DetectionOptions {
            threads: training.options.threads,
            max_skipped_share: training.options.max_skipped_share,
            worst: WORST,
        };
        let communicator = &mut *training.communicator;
        let outcome = evaluate(&detector, &task.test, &options, communicator, &mut || ())?;
        if let Some(outcome) = &outcome {
            let step = training.trainer.state().step;
            training.record(Record::Detection(DetectionRecord {
                epoch: step.div_ceil(training.steps_per_epoch),
                ap: outcome.coco.ap,
                ap_50: outcome.coco.ap_50,
            }))?;
        }
        Ok(outcome)
    }
}

/// Starts from the classifier's weights, or from the newest checkpoint.
fn start<'a>(
    job: DetectorJob<'a>,
    communicator: &'a mut dyn Communicator,
    observer: &'a mut dyn Observer,
) -> Result<Training<'a, Annotated>, TrainError> {
    let DetectorJob {
        recipe,
        backbone,
        description,
        train,
        test,
        options,
    } = job;
    let Checkpoint {
        parameters,
        metadata,
        ..
    } = backbone;
    let settings = recipe.detection.unwrap_or_default();
    let config = description.config();
    let layout = SsdNetwork::layout_of(&config)?;
    let (rank, ranks) = (communicator.rank(), communicator.ranks());
    let shares = Shares::new(recipe.shards, ranks)?;
    let photos = [train.identity(), test.identity()];
    let terms = terms::of_training(&recipe, &(&metadata, &description), photos, options)?;
    same_on_all(communicator, &terms)?;
    let initial = || {
        let weights = layout.initial(&config, &parameters, &settings.loss.classes, recipe.seed)?;
        State::new(&recipe, &layout, weights)
    };
    let state = first_state(
        communicator,
        &recipe,
        &layout,
        &metadata,
        options,
        observer,
        initial,
    )?;
    let photos = DetectionPhotos {
        data: train.clone(),
        augmentation: settings.augmentation,
    };
    let normalization = MeanStd {
        mean: description.mean,
        std: description.std,
    };
    let part = Part { rank, world: ranks };
    let batches = loader_config(&recipe, normalization, options, part);
    let loader = Loader::of(Arc::new(photos), batches, state.step, 1)?;
    let start = Start {
        steps_per_epoch: loader.steps_per_epoch(),
        task: Annotated {
            description,
            train,
            test,
        },
        learner: DetectorTrainer::new(recipe, &config, state, options.threads)?,
        loader,
        metadata,
        options,
        shares,
    };
    Training::new(start, communicator, observer)
}
