//! Biases as integers round them: to multiples of the input's scale times that of the weights.

use super::context::PassContext;
use super::planned_layer::PlannedLayer;
use super::planned_weights::PlannedWeights;
use super::rounded_weights::{RoundedWeights, WeightGrids};
use crate::fake_quantization::{Grid, Levels};

/// The biases of a layer.
pub(super) struct RoundedBiases<'a> {
    input: f64,
    grids: WeightGrids<'a>,
}

impl<'a> RoundedBiases<'a> {
    /// For a layer behind `before`. `None` if biases are not rounded.
    pub(super) fn new(
        context: &'a PassContext<'a>,
        planned: &'a PlannedWeights,
        before: Option<&PlannedLayer>,
    ) -> Option<Self> {
        let input = f64::from(input_scale(context, before)?);
        let grids = RoundedWeights { context, planned }.grids();
        Some(Self { input, grids })
    }

    /// The bias of a channel. It stays as it is if all inputs or all weights are 0.
    pub(super) fn round(&self, channel: usize, bias: f64) -> f64 {
        let unit = self.input * f64::from(self.grids.get(channel).scale());
        match unit > 0.0 {
            true => (bias / unit).round() * unit,
            false => bias,
        }
    }
}

/// The scale of the integers that a layer reads, if all is rounded that integers round. `before` is
/// the layer before. Ranges are kept then, so they are known before the pass.
fn input_scale(context: &PassContext<'_>, before: Option<&PlannedLayer>) -> Option<f32> {
    let (pixel, ranges) = (context.integers?, context.ranges?);
    Some(before.map_or(pixel, |before| {
        let (_, [min, max]) = ranges.kept(before.index);
        Grid::new(min, max, Levels::Wide).scale()
    }))
}
