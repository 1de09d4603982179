//! Integers that mean numbers, and symbols that mean levels.

use crate::array::Values;

/// The meaning of quantised integers: `scale * (value - zero_point)`, with one scale for all values
/// or one per index of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    /// How much the value grows when the integer grows by 1.
    pub scales: Vec<f32>,
    /// The integers that mean 0. Empty: 0 for all.
    pub zero_points: Vec<i64>,
    /// The axis of the scales, if there are several.
    pub axis: usize,
}

impl Quantization {
    /// What the integers of a tensor of this shape mean. A channel without a scale is 0.
    pub fn dequantize(&self, values: &Values, shape: &[usize]) -> Vec<f32> {
        // Number of values for each index of the axis.
        let inner = match shape.get(self.axis + 1..) {
            Some(inner) if self.scales.len() > 1 => inner.iter().product::<usize>().max(1),
            _ => values.len().max(1),
        };
        let values = values.to_f64();
        let mut numbers = Vec::with_capacity(values.len());
        for (index, values) in values.chunks(inner).enumerate() {
            let channel = index % self.scales.len().max(1);
            let scale = self.scales.get(channel).copied().unwrap_or_default();
            let zero_point = match self.zero_points.as_slice() {
                [one] => *one,
                many => many.get(channel).copied().unwrap_or(0),
            };
            let (scale, zero_point) = (f64::from(scale), zero_point as f64);
            numbers.extend(
                values
                    .iter()
                    .map(|value| (scale * (value - zero_point)) as f32),
            );
        }
        numbers
    }
}

/// Appends what symbols mean: a scale times the level of each.
pub fn append_levels(symbols: &[u8], levels: &[f32; 256], scale: f32, to: &mut Vec<f32>) {
    to.extend(
        symbols
            .iter()
            .map(|&symbol| scale * levels[usize::from(symbol)]),
    );
}
