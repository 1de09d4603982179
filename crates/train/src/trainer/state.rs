//! The state of a training: all that changes from step to step.

use std::ops::Range;

use crate::error::TrainError;
use crate::layout::ParameterLayout;
use crate::moving_average::MovingAverage;
use crate::optimizer::{Optimizer, ParameterGroup};
use crate::quantization::ActivationRanges;
use crate::recipe::Recipe;

/// All that changes from step to step. Two trainers with the same recipe, equal states and the same
/// number of threads compute equal bits.
#[derive(Debug, Clone)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// All parameters, including running statistics, by the network's layout.
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
        layout: &dyn ParameterLayout,
        weights: Vec<f32>,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        TrainError::check_length("parameters", layout.values(), weights.len())?;
        let groups = layout.groups(recipe)?;
        let average = recipe
            .moving_average
            .map(|config| MovingAverage::new(config, weights.clone()))
            .transpose()?;
        Ok(Self {
            step: 0,
            optimizer: Optimizer::new(recipe.optimizer, layout.values(), groups)?,
            ranges: recipe.quantization.map(|_| ActivationRanges::new(layout)),
            average,
            weights,
        })
    }

    /// One step: the optimiser's, by gradients; running statistics, which stand in their places among
    /// the gradients; and ranges of activations, which follow them. Returns the L2 loss of the weights
    /// before.
    pub(crate) fn update(
        &mut self,
        values: &[f32],
        statistics: &[Range<usize>],
        learning_rate: f64,
    ) -> Result<f64, TrainError> {
        let averages = self.ranges.as_ref().map_or(0, |ranges| ranges.biased.len());
        let expected = self.weights.len() + averages;
        TrainError::check_length("gradients", expected, values.len())?;
        let (gradients, ranges) = values.split_at(self.weights.len());
        let l2 = self
            .optimizer
            .step(&mut self.weights, gradients, learning_rate)?;
        for range in statistics {
            self.weights[range.clone()].copy_from_slice(&gradients[range.clone()]);
        }
        if let Some(state) = &mut self.ranges {
            state.biased.copy_from_slice(ranges);
            state.steps = state.steps.saturating_add(1);
        }
        self.step += 1;
        if let Some(average) = &mut self.average {
            average.update(&self.weights, self.step)?;
        }
        Ok(l2)
    }

    /// The part of the state for a range of the parameters, without ranges of activations.
    pub(crate) fn slice(&self, range: Range<usize>) -> Result<Self, TrainError> {
        let cut = |group: &ParameterGroup| {
            let (start, end) = (
                group.range.start.max(range.start),
                group.range.end.min(range.end),
            );
            (start < end).then(|| ParameterGroup {
                range: start - range.start..end - range.start,
                ..group.clone()
            })
        };
        let groups = self.optimizer.groups().iter().filter_map(cut).collect();
        let config = self.optimizer.config();
        let mut part = Self {
            step: self.step,
            weights: self.weights[range.clone()].to_vec(),
            average: self.average.clone(),
            optimizer: Optimizer::new(config, range.len(), groups)?,
            ranges: None,
        };
        let slots = self.optimizer.slots().into_iter();
        let slots = slots.map(|(name, values)| (name.to_string(), values[range.clone()].to_vec()));
        part.optimizer
            .restore(self.optimizer.steps(), slots.collect())?;
        if let Some(average) = &self.average {
            part.average = Some(average.slice(range)?);
        }
        Ok(part)
    }

    /// All values: weights, average, slots.
    pub(crate) fn values(&self) -> Vec<f32> {
        let average = self.average.iter().flat_map(|average| average.values());
        let slots = self.optimizer.slots().into_iter();
        let slots = slots.flat_map(|(_, values)| values);
        self.weights
            .iter()
            .chain(average)
            .chain(slots)
            .copied()
            .collect()
    }

    /// Replaces all values, in the order of [`Self::values`].
    pub(crate) fn set_values(&mut self, values: &[f32]) -> Result<(), TrainError> {
        let expected = self.values().len();
        TrainError::check_length("a state", expected, values.len())?;
        let mut vectors = values
            .chunks(self.weights.len().max(1))
            .map(<[f32]>::to_vec);
        self.weights = vectors.next().unwrap_or_default();
        if let Some(average) = &mut self.average {
            *average = average.with(vectors.next().unwrap_or_default())?;
        }
        let names = self
            .optimizer
            .slots()
            .into_iter()
            .map(|(name, _)| name.to_string());
        let slots = names.zip(vectors).collect();
        self.optimizer.restore(self.optimizer.steps(), slots)
    }

    /// The state whose slices these are, one after the other. Its steps are those of the first.
    pub(crate) fn joined(&self, parts: &[Self]) -> Result<Self, TrainError> {
        let mut whole = self.clone();
        let Some(first) = parts.first() else {
            return Ok(whole);
        };
        let vectors = 1 + usize::from(self.average.is_some()) + self.optimizer.slots().len();
        let mut all = vec![Vec::new(); vectors];
        for part in parts {
            let values = part.values();
            for (all, values) in all.iter_mut().zip(values.chunks(part.weights.len().max(1))) {
                all.extend_from_slice(values);
            }
        }
        whole.set_values(&all.concat())?;
        whole.step = first.step;
        let slots = whole.optimizer.slots().into_iter();
        let slots = slots.map(|(name, values)| (name.to_string(), values.to_vec()));
        let slots = slots.collect();
        whole.optimizer.restore(first.optimizer.steps(), slots)?;
        Ok(whole)
    }

    /// The parameters to evaluate and save: the average if there is one.
    pub fn best_weights(&self) -> &[f32] {
        self.average
            .as_ref()
            .map_or(&self.weights, |average| average.values())
    }
}
