//! What a rank contributes to a step.

use std::ops::Range;

use super::state::State;
use crate::error::TrainError;
use crate::recipe::Recipe;

/// The sum over the shards of one rank, and the loss of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Share {
    /// In the network's layout, the gradient of the batch's mean loss for each parameter. Running
    /// statistics have no gradient. Their ranges hold the statistics, updated by the shard's batch.
    /// With fake quantisation, the ranges of the activations follow, updated in the same way.
    pub values: Vec<f32>,
    /// Mean loss of each shard's images, without L2.
    pub losses: Vec<f64>,
}

/// Losses and learning rate of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// Mean loss of the batch, without L2.
    pub loss: f64,
    /// With L2 (slim's `total_loss`).
    pub total_loss: f64,
    /// Learning rate.
    pub learning_rate: f64,
}

impl Share {
    /// Updates the state by the values, which are now the sum over all shards. `losses` are those of
    /// all shards.
    ///
    /// # Errors
    /// As [`Self::prepare`], before anything is changed. [`TrainError::NotFinite`] also if the weights
    /// were not finite before.
    pub(crate) fn apply(
        &mut self,
        recipe: &Recipe,
        state: &mut State,
        statistics: &[Range<usize>],
        losses: &[f64],
    ) -> Result<StepOutcome, TrainError> {
        let loss = self.prepare(recipe, state, statistics, losses)?;
        let step = state.step;
        let learning_rate = recipe.schedule.learning_rate(step);
        let total_loss = loss + state.update(&self.values, statistics, learning_rate)?;
        check_finite(total_loss, step)?;
        Ok(StepOutcome {
            loss,
            total_loss,
            learning_rate,
        })
    }

    /// Makes the values, which are now the sum over all shards, those that the optimiser takes:
    /// statistics become means, and gradients are clipped. Returns the mean of the losses, which are
    /// those of all shards.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the loss or the gradients' norm is not finite. Also if the
    /// number of values or losses is wrong.
    pub(crate) fn prepare(
        &mut self,
        recipe: &Recipe,
        state: &State,
        statistics: &[Range<usize>],
        losses: &[f64],
    ) -> Result<f64, TrainError> {
        let values = &mut self.values;
        let ranges = state.ranges.as_ref();
        let averages = ranges.map_or(0, |ranges| ranges.biased.len());
        let expected = state.weights.len() + averages;
        TrainError::check_length("gradients", expected, values.len())?;
        TrainError::check_length("losses of shards", recipe.shards, losses.len())?;
        let averages = state.weights.len()..values.len();
        for range in statistics.iter().chain([&averages]) {
            of_shard(&mut values[range.clone()], recipe);
        }
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        let step = state.step;
        check_finite(loss, step)?;
        if let Some(clipping) = recipe.clipping {
            let (gradients, _) = values.split_at_mut(state.weights.len());
            let norm = clipping.apply(gradients, state.optimizer.groups())?;
            if !norm.is_finite() {
                let what = "norm of the gradients";
                return Err(TrainError::NotFinite { step, what });
            }
        }
        Ok(loss)
    }
}

/// A loss is finite.
pub(crate) fn check_finite(loss: f64, step: u64) -> Result<(), TrainError> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(TrainError::NotFinite { step, what: "loss" })
}

/// What one of the shards adds to a mean. Gradients of the outputs are made so before the backward
/// pass, because they are far fewer than those of the weights.
pub(crate) fn of_shard(values: &mut [f32], recipe: &Recipe) {
    if recipe.shards > 1 {
        let shards = recipe.shards as f32;
        values.iter_mut().for_each(|value| *value /= shards);
    }
}
