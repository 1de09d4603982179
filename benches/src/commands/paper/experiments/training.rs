//! Trains one setting with one seed and measures its accuracy.

use anyhow::{Context, Result};
use mobilenet::model::initialize::{Parameters, initial_parameters};
use mobilenet::model::preprocess::{Preprocessing, Resize};
use mobilenet::model::{FlatLayout, InferencePlan, MobileNetV1Config, PlanOptions, PlanWeights};
use mobilenet::train::augment::{Augmentation, Border, MeanStd};
use mobilenet::train::data::{Loader, LoaderConfig, OpenData, Part};
use mobilenet::train::evaluation::{EvaluationOptions, evaluate};
use mobilenet::train::loss::Distillation;
use mobilenet::train::optimizer::OptimizerConfig;
use mobilenet::train::recipe::{Recipe, Target};
use mobilenet::train::schedule::{Cosine, Schedule};
use mobilenet::train::trainer::{State, Trainer};

use super::design::{Images, Rule, Scale, Setting};

/// The bits of a result depend on the number of threads of a run. Several runs train at a time.
const THREADS: usize = 1;

/// A trained network.
#[derive(Debug, Clone)]
pub(super) struct Trained {
    pub(super) parameters: Parameters,
    /// Share of the test images whose class it names.
    pub(super) accuracy: f64,
}

/// Trains on the data's first part and evaluates on the second. A setting that learns from a teacher
/// needs it.
pub(super) fn train(
    setting: &Setting,
    scale: &Scale,
    seed: u64,
    data: &OpenData,
    teacher: Option<&Parameters>,
) -> Result<Trained> {
    let recipe = recipe(setting, scale, seed);
    let config = recipe.network(setting.config());
    let mut loader = loader(&recipe, data)?;
    let layout = FlatLayout::new(&config)?;
    let weights = layout.flatten(&initial_parameters(&config, seed)?)?;
    let state = State::new(&recipe, &layout, weights)?;
    let teacher = match setting.distilled {
        true => Some(plan_of_teacher(setting, teacher)?),
        false => None,
    };
    let steps = recipe.steps;
    let mut trainer = Trainer::new(recipe, &config, state, teacher, THREADS)?;
    for _ in 0..steps {
        let batch = loader.next_batch()?;
        trainer.step(&batch.images, &batch.labels)?;
        loader.give_back(batch);
    }
    let parameters = trainer.layout().tensors(&trainer.state().weights)?;
    let accuracy = accuracy(&config, &parameters, setting, data)?;
    Ok(Trained {
        parameters,
        accuracy,
    })
}

/// The recipe of the embedded weights (docs/recipes/fashion_mnist.md) without averaged weights and
/// label smoothing, which short runs and comparisons do without. Photos are cropped, and learnt in
/// smaller steps.
fn recipe(setting: &Setting, scale: &Scale, seed: u64) -> Recipe {
    let (steps, batch_size) = scale.of(setting.images);
    let (optimizer, initial) = match setting.optimizer {
        Rule::RmsProp => (OptimizerConfig::rms_prop_slim(), 0.045),
        Rule::Momentum => {
            let nesterov = OptimizerConfig::Momentum {
                momentum: 0.9,
                nesterov: true,
            };
            match setting.images {
                Images::FashionMnist => (nesterov, 0.3),
                Images::Flowers => (nesterov, 0.05),
            }
        }
    };
    Recipe {
        batch_size,
        resolution: setting.side,
        seed,
        optimizer,
        schedule: Schedule::Cosine(Cosine {
            initial,
            warm_up_steps: steps / 20,
            total_steps: steps,
            end: 0.0,
        }),
        weight_decay: 1e-4,
        decay_depthwise: setting.decay_depthwise,
        batch_norm_decay: if scale.quick { 0.9 } else { 0.99 },
        augmentation: match setting.images {
            Images::FashionMnist => Augmentation::CropFlip {
                padding: setting.side.div_ceil(24),
                border: Border::Zero,
            },
            Images::Flowers => Augmentation::Mild,
        },
        target: match setting.distilled {
            true => Target::Teacher(Distillation::paper()),
            false => Target::Labels {
                label_smoothing: 0.0,
            },
        },
        ..Recipe::slim(steps)
    }
}

fn loader(recipe: &Recipe, data: &OpenData) -> Result<Loader> {
    let config = LoaderConfig {
        batch_size: recipe.batch_size,
        part: Part::WHOLE,
        resolution: recipe.resolution,
        seed: recipe.seed,
        workers: 1,
        augmentation: recipe.augmentation,
        normalization: MeanStd::default(),
        drop_last: true,
        max_skipped_share: 0.0,
    };
    Ok(Loader::new(data.train.clone(), config, 0)?)
}

fn plan_of_teacher(student: &Setting, parameters: Option<&Parameters>) -> Result<InferencePlan> {
    let parameters = parameters.context("a student needs its teacher's weights")?;
    let weights = PlanWeights::new(&student.images.teacher().config(), parameters)?;
    Ok(InferencePlan::new(
        &weights,
        &PlanOptions::new([student.side; 2], THREADS),
    )?)
}

fn accuracy(
    config: &MobileNetV1Config,
    parameters: &Parameters,
    setting: &Setting,
    data: &OpenData,
) -> Result<f64> {
    let slim = Preprocessing::slim(setting.side);
    let preprocessing = match setting.images {
        Images::FashionMnist => Preprocessing {
            resize: Resize::CentralCrop { fraction: 1.0 },
            ..slim
        },
        Images::Flowers => slim,
    };
    let options = EvaluationOptions {
        batch_size: 32,
        part: Part::WHOLE,
        threads: THREADS,
        max_skipped_share: 0.0,
        worst: 0,
        subset: None,
        keep_answers: false,
    };
    let test = data.test.clone().context("the data have no test images")?;
    let outcome = evaluate(
        config,
        parameters,
        &preprocessing,
        test,
        &options,
        &mut |_| {},
    )?;
    Ok(outcome.evaluation.accuracy().accuracy())
}
