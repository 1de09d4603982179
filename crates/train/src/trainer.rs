//! One network in training: a step at a time, without data sets, files or clocks.
//!
//! ```text
//! images -> forward -> loss -> backward -> clipping -> optimiser
//!        -> running statistics -> moving average
//! ```

use mobilenet_model::{
    FlatLayout, InferencePlan, MobileNetV1Config, TrainingPlan, TrainingPlanOptions,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::TrainError;
use crate::loss::{Loss, softmax_cross_entropy, squared_difference};
use crate::moving_average::MovingAverage;
use crate::optimizer::{Optimizer, l2_loss};
use crate::recipe::{Recipe, Target};

/// What changes from step to step, all of it: two trainers of one recipe and equal states give
/// equal bits on the same number of threads.
#[derive(Debug, Clone)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// All parameters, running statistics included, by the network's [`FlatLayout`].
    pub weights: Vec<f32>,
    /// Their moving average, where the recipe has one.
    pub average: Option<MovingAverage>,
    /// The optimiser with its slots.
    pub optimizer: Optimizer,
}

impl State {
    /// The state before the first step.
    ///
    /// # Errors
    /// Where the recipe or the length of the weights does not fit the network.
    pub fn new(
        recipe: &Recipe,
        layout: &FlatLayout,
        weights: Vec<f32>,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        TrainError::check_length("parameters", layout.len(), weights.len())?;
        let groups = recipe.groups(layout)?;
        let average = recipe
            .moving_average
            .map(|config| MovingAverage::new(config, weights.clone()))
            .transpose()?;
        Ok(Self {
            step: 0,
            optimizer: Optimizer::new(recipe.optimizer, layout.len(), groups)?,
            average,
            weights,
        })
    }

    /// The parameters that are evaluated and saved: the average where there is one.
    pub fn best_weights(&self) -> &[f32] {
        self.average
            .as_ref()
            .map_or(&self.weights, |average| average.values())
    }
}

/// What a step tells.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// Mean loss of the batch, without L2.
    pub loss: f64,
    /// With L2 (slim's `total_loss`).
    pub total_loss: f64,
    /// Rate of the step.
    pub learning_rate: f64,
}

/// A network, its recipe and its state.
#[derive(Debug)]
pub struct Trainer {
    recipe: Recipe,
    plan: TrainingPlan,
    state: State,
    teacher: Option<InferencePlan>,
    logits: Vec<f32>,
    logit_gradients: Vec<f32>,
    gradients: Vec<f32>,
    targets: Vec<f32>,
}

impl Trainer {
    /// A trainer on so many threads. `teacher` gives logits (or features, for
    /// [`Target::Embedding`]) of images of the recipe's resolution.
    ///
    /// # Errors
    /// Where recipe, network and teacher do not fit each other.
    pub fn new(
        recipe: Recipe,
        config: &MobileNetV1Config,
        state: State,
        teacher: Option<InferencePlan>,
        threads: usize,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        let config = recipe.network(config.clone());
        let layout = FlatLayout::new(&config)?;
        let options = TrainingPlanOptions {
            size: [recipe.resolution; 2],
            batch: recipe.batch_size,
            threads,
            frozen_layers: recipe.frozen_layers(&layout),
            frozen_batch_norm: recipe.frozen_batch_norm,
        };
        let plan = TrainingPlan::new(&config, &options)?;
        TrainError::check_length("parameters", layout.len(), state.weights.len())?;
        let classes = plan.logits_len() / recipe.batch_size;
        let needs_teacher = !matches!(recipe.target, Target::Labels { .. });
        let given = teacher.as_ref().map_or(0, InferencePlan::output_len);
        let expected = if needs_teacher { classes } else { 0 };
        TrainError::check_length("the teacher's output", expected, given)?;
        let targets = if needs_teacher { plan.logits_len() } else { 0 };
        Ok(Self {
            logits: vec![0.0; plan.logits_len()],
            logit_gradients: vec![0.0; plan.logits_len()],
            gradients: vec![0.0; layout.len()],
            targets: vec![0.0; targets],
            recipe,
            plan,
            state,
            teacher,
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where each parameter lies.
    pub fn layout(&self) -> &FlatLayout {
        self.plan.layout()
    }

    /// Logits of the last batch, `[batch, classes]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// One step on `[batch, resolution, resolution, channels]` images.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] where the loss or a gradient's norm is no number: nothing is
    /// changed then. Where a slice has the wrong length, or a label is no class.
    pub fn step(&mut self, images: &[f32], labels: &[u32]) -> Result<StepOutcome, TrainError> {
        let recipe = &self.recipe;
        let dropout = dropout(
            recipe.seed,
            self.state.step,
            recipe.dropout_keep_prob,
            self.plan.features_len(),
        );
        let weights = &self.state.weights;
        let pass = self
            .plan
            .forward(weights, images, dropout.as_deref(), &mut self.logits)?;
        if let Some(teacher) = &mut self.teacher {
            teacher.run(images, &mut self.targets)?;
        }
        let gradients = &mut self.logit_gradients;
        let loss = loss(recipe, &self.logits, &self.targets, labels, gradients)?;
        let regularisation = l2_loss(&self.state.weights, self.state.optimizer.groups())?;
        let step = self.state.step;
        if !(loss.mean + regularisation).is_finite() {
            return Err(TrainError::NotFinite { step, what: "loss" });
        }
        pass.backward(&self.logit_gradients, &mut self.gradients)?;
        if let Some(clipping) = self.recipe.clipping {
            let norm = clipping.apply(&mut self.gradients, self.state.optimizer.groups())?;
            if !norm.is_finite() {
                let what = "norm of the gradients";
                return Err(TrainError::NotFinite { step, what });
            }
        }
        let learning_rate = self.recipe.schedule.learning_rate(step);
        let state = &mut self.state;
        state
            .optimizer
            .step(&mut state.weights, &self.gradients, learning_rate)?;
        self.plan.update_running_statistics(&mut state.weights)?;
        state.step += 1;
        if let Some(average) = &mut state.average {
            average.update(&state.weights, state.step)?;
        }
        Ok(StepOutcome {
            loss: loss.mean,
            total_loss: loss.mean + regularisation,
            learning_rate,
        })
    }
}

/// The loss of a batch by the recipe, and its gradient of the logits.
fn loss(
    recipe: &Recipe,
    logits: &[f32],
    targets: &[f32],
    labels: &[u32],
    gradients: &mut [f32],
) -> Result<Loss, TrainError> {
    let classes = logits.len() / recipe.batch_size;
    match recipe.target {
        Target::Labels { label_smoothing } => {
            softmax_cross_entropy(logits, labels, classes, label_smoothing, gradients)
        }
        Target::Teacher(distillation) => {
            distillation.loss(logits, targets, Some(labels), classes, gradients)
        }
        Target::Embedding => squared_difference(logits, targets, classes, gradients),
    }
}

/// Factors of the pooled features: a function of seed and step, so that a resumed run draws them
/// again alike.
fn dropout(seed: u64, step: u64, keep: f64, features: usize) -> Option<Vec<f32>> {
    if keep >= 1.0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // A stream of its own: the loader draws from others of the same seed.
    rng.set_stream(u64::MAX - step);
    let scale = (1.0 / keep) as f32;
    let draw = |_| {
        if rng.random::<f64>() < keep {
            scale
        } else {
            0.0
        }
    };
    Some((0..features).map(draw).collect())
}
