//! The few values that a compressed file will hold, with which the network computes. The gradients are
//! those of the values, and the optimiser takes them for the weights behind them (straight through):
//! a palette's value, the mean of its weights, moves by the mean of their gradients, as in Deep
//! Compression, and a weight may also go over to another value.

use mobilenet_compress::codes::{Compressed, SharedWeights};
use mobilenet_model::FlatLayout;
use mobilenet_model::checkpoint::Metadata;

use crate::error::TrainError;
use crate::recipe::Recipe;

#[derive(Debug)]
pub(super) struct SharedValues {
    weights: SharedWeights,
    values: Vec<f32>,
}

impl SharedValues {
    pub(super) fn new(recipe: &Recipe, layout: FlatLayout) -> Result<Option<Self>, TrainError> {
        let Some(options) = recipe.compression else {
            return Ok(None);
        };
        Ok(Some(Self {
            values: Vec::with_capacity(layout.len()),
            weights: SharedWeights::new(layout, options)?,
        }))
    }

    /// Takes the values of these weights.
    pub(super) fn update(&mut self, weights: &[f32]) -> Result<(), TrainError> {
        self.values.clear();
        self.values.extend_from_slice(weights);
        Ok(self.weights.share(&mut self.values)?)
    }

    /// The values in the places of the weights.
    pub(super) fn values(&self) -> &Vec<f32> {
        &self.values
    }

    pub(super) fn compressed(
        &self,
        weights: &[f32],
        metadata: &Metadata,
    ) -> Result<Compressed, TrainError> {
        Ok(self.weights.compressed(weights, metadata)?)
    }
}
