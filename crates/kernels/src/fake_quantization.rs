//! Fake quantisation: in training, values are rounded to those that an 8-bit integer represents.
//! The gradient passes as if nothing had been rounded ("straight through"), except for values
//! beyond the range. This is TensorFlow's `fake_quant_with_min_max_vars`.

use crate::error::{KernelError, check_length};
use crate::simd::rounding::{self, Steps};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Which integers stand for a range of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// 0 to 255.
    Wide,
    /// 1 to 255, so that there are as many below the middle as above.
    Narrow,
}

impl Levels {
    /// Smallest and largest integer.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::Wide => (0.0, 255.0),
            Self::Narrow => (1.0, 255.0),
        }
    }
}

/// How many scales the weights of a layer have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightScheme {
    /// One, for the range from the smallest to the largest weight, as in TensorFlow's training and
    /// Google's networks.
    PerTensor,
    /// One per output channel, for a symmetric range, as in TensorFlow Lite's 8-bit specification.
    PerChannel,
}

/// The factor by which batch normalisation with running statistics scales a channel, and its
/// weights when it is folded into them.
pub fn fold_factor(gamma: f32, variance: f32, epsilon: f64) -> f32 {
    (f64::from(gamma) / (f64::from(variance) + epsilon).sqrt()) as f32
}

/// The values that 8-bit integers represent: `(q - zero_point) * scale`. One of them is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    steps: Steps,
    zero_point: f32,
    /// The smallest and the largest value whose gradient passes.
    passes: (f32, f32),
}

impl Grid {
    /// The grid of a range, which is extended to contain 0 and then moved by less than a step, so
    /// that 0 is on the grid. If the range is empty, every value becomes 0, and every gradient
    /// passes.
    pub fn new(min: f32, max: f32, levels: Levels) -> Self {
        let (least, most) = levels.bounds();
        let (min, max) = (min.min(0.0), max.max(0.0));
        let scale = (max - min) / (most - least);
        if scale == 0.0 {
            return Self {
                steps: Steps {
                    low: 0.0,
                    high: 0.0,
                    scale: 0.0,
                    inverse: 0.0,
                    zero: 0.0,
                },
                zero_point: least,
                passes: (f32::NEG_INFINITY, f32::INFINITY),
            };
        }
        let zero_point = (least - min / scale).round().clamp(least, most);
        let (low, high) = ((least - zero_point) * scale, (most - zero_point) * scale);
        let inverse = 1.0 / scale;
        Self {
            steps: Steps {
                low,
                high,
                scale,
                inverse,
                zero: (-low * inverse + 0.5).floor(),
            },
            zero_point,
            passes: (low, high),
        }
    }

    /// The grid of weights between `min` and `max`. Of a symmetric range, every gradient passes.
    pub fn of_weights(scheme: WeightScheme, min: f32, max: f32) -> Self {
        match scheme {
            WeightScheme::PerTensor => Self::new(min, max, Levels::Narrow),
            WeightScheme::PerChannel => {
                let largest = min.abs().max(max.abs());
                Self {
                    passes: (f32::NEG_INFINITY, f32::INFINITY),
                    ..Self::new(-largest, largest, Levels::Narrow)
                }
            }
        }
    }

    /// Distance of two neighbouring values.
    pub fn scale(&self) -> f32 {
        self.steps.scale
    }

    /// The integer that represents 0.
    pub fn zero_point(&self) -> u8 {
        self.zero_point as u8
    }

    /// Smallest and largest value.
    pub fn range(&self) -> (f32, f32) {
        (self.steps.low, self.steps.high)
    }

    /// The integer that represents the nearest value.
    pub fn level(&self, x: f32) -> u8 {
        (self.steps_from_zero(x) + self.zero_point) as u8
    }

    /// The same, without the conversion of floats to integers: that saturates, and is not vectorised. Of
    /// NaN, it is any level.
    #[inline(always)]
    pub(crate) fn level_by_bits(&self, x: f32) -> i32 {
        // Its last bit is worth 1, and stays so with 255 added.
        const UNIT: f32 = 1.5 * (1 << 23) as f32;
        let bits = (self.steps_from_zero(x) + self.zero_point + UNIT).to_bits();
        (bits & 0xff) as i32
    }

    /// The nearest value of the grid. It is the specification of [`fake_quantize`], bit for bit.
    pub fn round(&self, x: f32) -> f32 {
        self.steps_from_zero(x) * self.steps.scale
    }

    #[inline(always)]
    fn steps_from_zero(&self, x: f32) -> f32 {
        let Steps {
            low,
            high,
            inverse,
            zero,
            ..
        } = self.steps;
        // Not `f32::clamp`, which panics if the range is infinite.
        let x = if x < low { low } else { x };
        let x = if x > high { high } else { x };
        ((x - low) * inverse - zero + 0.5).floor()
    }

    /// Whether the gradient of a value passes: whether it lies in the range, ends included.
    pub fn passes(&self, x: f32) -> bool {
        self.passes.0 <= x && x <= self.passes.1
    }

    /// The range of values whose gradient passes, ends excluded.
    #[inline]
    pub(crate) fn gate(&self) -> (f32, f32) {
        (self.passes.0.next_down(), self.passes.1.next_up())
    }

    pub(crate) fn steps(&self) -> &Steps {
        &self.steps
    }
}

/// Rounds values to the grid, in place.
///
/// # Errors
/// If the machine lacks the instruction set that `MOBILENET_ISA` names.
pub fn fake_quantize(values: &mut [f32], grid: &Grid) -> Result<(), KernelError> {
    fake_quantize_on(Isa::best()?, values, grid);
    Ok(())
}

/// The same on an instruction set.
pub fn fake_quantize_on(isa: Isa, values: &mut [f32], grid: &Grid) {
    dispatch(isa, Round(values, grid));
}

/// Sets the gradient to 0 where the input is beyond the grid's range.
///
/// # Errors
/// If the lengths differ.
pub fn fake_quantize_gradient(
    input: &[f32],
    gradient: &mut [f32],
    grid: &Grid,
) -> Result<(), KernelError> {
    check_length("gradient", gradient.len(), &[input.len()])?;
    for (gradient, &x) in gradient.iter_mut().zip(input) {
        if !grid.passes(x) {
            *gradient = 0.0;
        }
    }
    Ok(())
}

struct Round<'a>(&'a mut [f32], &'a Grid);

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(values, grid) = self;
        rounding::round(simd, values, grid.steps());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_bits_are_the_same() {
        for scheme in [WeightScheme::PerTensor, WeightScheme::PerChannel] {
            for (min, max) in [
                (-1.0, 3.0),
                (-0.4, 0.3),
                (0.0, 1e-6),
                (-1e30, 1e20),
                (0.0, 0.0),
            ] {
                let grid = Grid::of_weights(scheme, min, max);
                for index in -20..=120 {
                    let x = min + (max - min) * index as f32 / 100.0;
                    assert_eq!(grid.level_by_bits(x), i32::from(grid.level(x)), "{x}");
                }
            }
        }
    }
}
