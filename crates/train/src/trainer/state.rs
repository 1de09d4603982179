//! The state of a training: all that changes from step to step.

use mobilenet_model::FlatLayout;

use crate::error::TrainError;
use crate::moving_average::MovingAverage;
use crate::optimizer::Optimizer;
use crate::quantization::ActivationRanges;
use crate::recipe::Recipe;

/// All that changes from step to step. Two trainers with the same recipe, equal states and the same
/// number of threads compute equal bits.
#[derive(Debug, Clone)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// All parameters, including running statistics, by the network's [`FlatLayout`].
    pub weights: Vec<f32>,
    /// Their moving average, if the recipe has one.
    pub average: Option<MovingAverage>,
    /// The optimiser with its slots.
    pub optimizer: Optimizer,
    /// Ranges of the activations, if the recipe quantises.
    pub ranges: Option<ActivationRanges>,
}

impl State {
    /// The state before the first step.
    ///
    /// # Errors
    /// If the recipe or the length of the weights does not fit the network.
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
            ranges: recipe.quantization.map(|_| ActivationRanges::new(layout)),
            average,
            weights,
        })
    }

    /// The parameters to evaluate and save: the average if there is one.
    pub fn best_weights(&self) -> &[f32] {
        self.average
            .as_ref()
            .map_or(&self.weights, |average| average.values())
    }
}
