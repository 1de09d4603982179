//! Layers of integers, computed in f32 one at a time. Sums of products of integers are nearly exact
//! in f32, so a result differs from that of a program of integers only where a number lies between
//! two integers, by 1.
//!
//! An activation's codes are its integers minus their type's smallest, 0 to 255.

use mobilenet_kernels::integer::Quantized;
use mobilenet_kernels::{Activation, ConvSize, Epilogue};

use super::layer::Shape;
use super::weights::IntegerWeights;
use crate::error::ModelError;

/// A layer whose weights and bias are integers.
pub(super) struct CodeLayer {
    shape: Shape,
    /// Integers minus zero points.
    weights: Vec<f32>,
    /// From sums to steps of the output.
    scale: Vec<f32>,
    shift: Vec<f32>,
    input: Quantized,
    output: Quantized,
}

/// The code of 0.
pub(super) fn zero_code(quantized: &Quantized) -> i32 {
    quantized.zero_point - quantized.integer.min()
}

/// The number that a code means.
pub(super) fn number(code: u8, quantized: &Quantized) -> f32 {
    quantized.scale * (i32::from(code) - zero_code(quantized)) as f32
}

/// The code of a number in units of the scale.
pub(super) fn code(steps: f32, quantized: &Quantized) -> u8 {
    (steps.round_ties_even() + zero_code(quantized) as f32).clamp(0.0, 255.0) as u8
}

/// Smallest and largest code behind an activation.
fn bounds(activation: Activation, output: &Quantized) -> (u8, u8) {
    let (low, high) = activation.bounds();
    // What an activation does not bound is infinite, and gets the codes' own limits.
    let code = |number: f32| {
        let steps = (number / output.scale).round();
        (steps + zero_code(output) as f32).clamp(0.0, 255.0) as u8
    };
    (code(low), code(high))
}

impl CodeLayer {
    pub(super) fn new(
        shape: &Shape,
        weights: &IntegerWeights,
        bias: &[i32],
        input: Quantized,
        output: Quantized,
    ) -> Self {
        let factor = |channel| input.scale * weights.scale(channel) / output.scale;
        let scale: Vec<f32> = (0..shape.out_channels).map(factor).collect();
        let shift = bias
            .iter()
            .zip(&scale)
            .map(|(&bias, scale)| bias as f32 * scale);
        Self {
            shape: shape.clone(),
            weights: weights.all_centred(),
            shift: shift.collect(),
            scale,
            input,
            output,
        }
    }

    /// Codes of the output.
    ///
    /// # Errors
    /// If the map has another length.
    pub(super) fn run(&self, map: &[u8], windows: &ConvSize) -> Result<Vec<u8>, ModelError> {
        let zero = zero_code(&self.input);
        let map: Vec<f32> = map
            .iter()
            .map(|&code| (i32::from(code) - zero) as f32)
            .collect();
        let epilogue = Epilogue {
            scale: Some(&self.scale),
            shift: Some(&self.shift),
            activation: None,
        };
        let steps = self.shape.run(&map, windows, &self.weights, &epilogue)?;
        let (low, high) = bounds(self.shape.activation, &self.output);
        let codes = steps
            .iter()
            .map(|&steps| code(steps, &self.output).clamp(low, high));
        Ok(codes.collect())
    }

    /// What the output's codes mean.
    pub(super) fn output(&self) -> &Quantized {
        &self.output
    }
}
