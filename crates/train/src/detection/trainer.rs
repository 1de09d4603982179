//! One detector in training, one step at a time, without data sets, files or clocks.

use mobilenet_detect::SsdConfig;
use mobilenet_detect::coder::BoxCoder;

use super::layout::SsdLayout;
use super::loss::{BatchLoss, DetectorLoss};
use super::network::{NetworkOptions, SsdNetwork};
use super::targets::{Matcher, Targets};
use crate::data::annotations::Object;
use crate::error::TrainError;
use crate::optimizer::l2_loss;
use crate::recipe::Recipe;
use crate::trainer::{State, StepOutcome};

/// A detector, its recipe and its state.
#[derive(Debug)]
pub struct DetectorTrainer {
    recipe: Recipe,
    loss: DetectorLoss,
    network: SsdNetwork,
    matcher: Matcher,
    state: State,
    gradients: Vec<f32>,
}

impl DetectorTrainer {
    /// A trainer on `threads` threads.
    ///
    /// # Errors
    /// If recipe, network and state do not fit each other.
    pub fn new(
        recipe: Recipe,
        config: &SsdConfig,
        state: State,
        threads: usize,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        let settings = recipe
            .detection
            .ok_or_else(|| refused("the recipe", "that of a detector"))?;
        if recipe.shards != 1 {
            return Err(refused(
                "the number of shards of a detector's training",
                "1",
            ));
        }
        if recipe.quantization.is_some() {
            return Err(refused("training for integers", "that of a classifier"));
        }
        if config.size != [recipe.resolution; 2] {
            return Err(refused("the size of the images", "that of the network"));
        }
        let layout = SsdNetwork::layout_of(config)?;
        let options = NetworkOptions {
            batch: recipe.batch_size,
            threads,
            frozen_layers: layout.frozen_layers(&recipe),
            frozen_batch_norm: recipe.frozen_batch_norm,
            decay: recipe.batch_norm_decay,
        };
        let network = SsdNetwork::new(config, options)?;
        let matcher = Matcher::new(config.anchors()?, BoxCoder::default(), settings.overlap)?;
        Ok(Self {
            gradients: vec![0.0; state.weights.len()],
            loss: settings.loss,
            recipe,
            network,
            matcher,
            state,
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

    /// The layout of the parameters.
    pub fn layout(&self) -> &SsdLayout {
        self.network.layout()
    }

    /// Does one step on images `[batch, resolution, resolution, 3]` with their objects. Also returns the
    /// two parts of the loss.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the loss or the gradients' norm is not finite. Also if a slice has
    /// the wrong length, or a class is none of the network's. Nothing is changed then.
    pub fn step(
        &mut self,
        images: &[f32],
        objects: &[Vec<Object>],
    ) -> Result<(StepOutcome, BatchLoss), TrainError> {
        TrainError::check_length("images", self.network.images_len(), images.len())?;
        TrainError::check_length("photos with objects", self.recipe.batch_size, objects.len())?;
        let targets: Vec<Targets> = objects
            .iter()
            .map(|one| self.matcher.targets(one))
            .collect();
        let (loss, matcher) = (&self.loss, &self.matcher);
        let weights = &self.state.weights;
        let of_batch = self.network.gradients(
            weights,
            images,
            |predictions, gradients| loss.of_batch(matcher, &targets, predictions, gradients),
            &mut self.gradients,
        )?;
        let (step, groups) = (self.state.step, self.state.optimizer.groups());
        let total_loss = of_batch.total() + l2_loss(weights, groups)?;
        if !total_loss.is_finite() {
            return Err(TrainError::NotFinite { step, what: "loss" });
        }
        if let Some(clipping) = self.recipe.clipping {
            let norm = clipping.apply(&mut self.gradients, groups)?;
            if !norm.is_finite() {
                let what = "norm of the gradients";
                return Err(TrainError::NotFinite { step, what });
            }
        }
        let learning_rate = self.recipe.schedule.learning_rate(step);
        let statistics = self.network.statistics();
        self.state
            .update(&self.gradients, statistics, learning_rate)?;
        let outcome = StepOutcome {
            loss: of_batch.total(),
            total_loss,
            learning_rate,
        };
        Ok((outcome, of_batch))
    }
}

fn refused(setting: &'static str, range: &'static str) -> TrainError {
    TrainError::Setting {
        setting,
        range,
        found: "another".to_string(),
    }
}
