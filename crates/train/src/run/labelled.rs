//! Trainings on photos with labels, or with rows of numbers.

use mobilenet_model::checkpoint::Metadata;
use mobilenet_model::{FlatLayout, InferencePlan};

use super::options::{Job, Observer, RunOutcome};
use super::output::first_state;
use super::terms;
use super::training::{Learner, Start, Task, Training, loader_config};
use crate::augment::MeanStd;
use crate::data::{Batch, DataError, Loader, OpenData, Part, identity};
use crate::error::TrainError;
use crate::evaluation::EvaluationOutcome;
use crate::heads::HeadOutcome;
use crate::layout::ParameterLayout;
use crate::parallel::{Communicator, Shares, same_on_all};
use crate::recipe::Recipe;
use crate::trainer::{Agree, State, StepOutcome, Trainer};

impl Learner for Trainer {
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
        first: usize,
        communicator: &mut dyn Communicator,
        agree: &mut Agree<'_>,
    ) -> Result<bool, TrainError> {
        self.compute_together(&batch.images, &batch.labels, first, communicator, agree)
    }

    fn apply(&mut self, losses: &[f64]) -> Result<StepOutcome, TrainError> {
        self.apply(losses)
    }

    fn forget_rounding(&mut self) {
        self.forget_rounding();
    }
}

/// The photos.
pub(super) struct Labelled {
    pub(super) data: OpenData,
    /// The last evaluation of what is no classifier.
    pub(super) measured: Option<HeadOutcome>,
}

/// A training in progress.
pub(super) type LabelledTraining<'a> = Training<'a, Labelled>;

impl Task for Labelled {
    type Learner = Trainer;
    type Evaluation = EvaluationOutcome;

    fn photos(&self) -> usize {
        self.data.train.len()
    }

    fn name(&self, photo: usize) -> String {
        self.data.train.name(photo)
    }

    fn evaluate(
        training: &mut Training<'_, Self>,
    ) -> Result<Option<EvaluationOutcome>, TrainError> {
        training.evaluate_weights()
    }
}

/// Starts from the initial weights, or from the newest checkpoint.
pub(super) fn start<'a>(
    job: Job<'a>,
    teacher: Option<InferencePlan>,
    communicator: &'a mut dyn Communicator,
    observer: &'a mut dyn Observer,
) -> Result<LabelledTraining<'a>, TrainError> {
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
    let test = data.test.as_deref();
    let photos = [identity(&*data.train), test.map_or("none".into(), identity)];
    let mut terms = terms::of_training(&recipe, &metadata, photos, options)?;
    terms.push(("servers and workers".into(), format!("{replicas:?}")));
    same_on_all(communicator, &terms)?;
    let initial = || State::new(&recipe, &layout, layout.flatten(&initial.parameters)?);
    let state = first_state(
        communicator,
        &recipe,
        &layout,
        &metadata,
        options,
        observer,
        initial,
    )?;
    let batches = replicas
        .and_then(|replicas| replicas.aggregate)
        .unwrap_or(1) as u64;
    let (part, first, every) = match replicas {
        None => (Part { rank, world: ranks }, state.step, 1),
        // Workers take turns.
        Some(replicas) => {
            let worker = rank.saturating_sub(replicas.servers) as u64;
            let workers = (ranks - replicas.servers) as u64;
            (Part::WHOLE, state.step * batches + worker, workers)
        }
    };
    let normalization = MeanStd::of(&metadata.preprocessing).ok_or_else(|| {
        let channels = metadata.preprocessing.channels();
        DataError::Settings(format!("photos have 3 channels, the network {channels}"))
    })?;
    let batches_of = loader_config(&recipe, normalization, options, part);
    let loader = Loader::every(data.train.clone(), batches_of, first, every)?;
    let start = Start {
        steps_per_epoch: (loader.steps_per_epoch() / batches).max(1),
        task: Labelled {
            data: data.clone(),
            measured: None,
        },
        learner: Trainer::new(recipe, &config, state, teacher, options.threads)?
            .with_targets(data.train.targets().cloned()),
        loader,
        metadata,
        options,
        shares,
    };
    Training::new(start, communicator, observer)
}

impl LabelledTraining<'_> {
    /// What a run returns. One that has come to its end is evaluated and reported before.
    pub(super) fn outcome(mut self, interrupted: bool) -> Result<RunOutcome, TrainError> {
        let evaluation = match interrupted {
            true => None,
            false => self.finish()?,
        };
        #[cfg(feature = "report")]
        if !interrupted {
            self.report(evaluation.as_ref())?;
        }
        Ok(RunOutcome {
            step: self.trainer.state().step,
            interrupted,
            evaluation,
            measured: self.task.measured,
            skipped: self.skipped.as_slice().to_vec(),
        })
    }

    #[cfg(feature = "report")]
    fn report(&self, evaluation: Option<&EvaluationOutcome>) -> Result<(), TrainError> {
        let Some(output) = &self.output else {
            return Ok(());
        };
        let (folder, recipe) = (self.options.out.join("report"), self.trainer.recipe());
        if let (Some(outcome), Some(test)) = (evaluation, &self.task.data.test) {
            super::report::write(
                &folder,
                &self.metadata.source,
                recipe,
                &output.history,
                outcome,
                &**test,
                &self.weights()?,
            )?;
        }
        if let Some(outcome) = &self.task.measured {
            crate::report::HeadReport {
                title: &self.metadata.source,
                recipe: Some(recipe),
                history: &output.history,
                outcome,
            }
            .write(&folder)?;
        }
        Ok(())
    }
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
