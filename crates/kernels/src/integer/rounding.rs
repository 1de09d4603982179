//! From the sums of a layer to its output's integers: the rules of the frameworks, to the last bit.
//!
//! Activations are kept as unsigned bytes: a signed integer plus 128. Zero points and bounds here
//! are those of the bytes.

use super::network::{Arithmetic, IntegerType, Quantized, QuantizedConvolution};
use crate::network::{Activation, ConvKind};

/// What a byte of an activation means, as kernels see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ByteScale {
    pub(super) scale: f32,
    /// From 0 to 255.
    pub(super) zero_point: i32,
    /// What is subtracted from a byte to get the integer.
    pub(super) offset: i32,
}

impl ByteScale {
    /// The type of the integers.
    pub(super) fn integer(self) -> IntegerType {
        match self.offset {
            0 => IntegerType::U8,
            _ => IntegerType::I8,
        }
    }
}

impl From<Quantized> for ByteScale {
    fn from(quantized: Quantized) -> Self {
        let offset = -quantized.integer.min();
        Self {
            scale: quantized.scale,
            zero_point: quantized.zero_point + offset,
            offset,
        }
    }
}

/// Zero point and bounds of an output's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) zero_point: i32,
    pub(super) low: i32,
    pub(super) high: i32,
}

impl Bounds {
    /// All bytes.
    pub(super) fn of(output: ByteScale) -> Self {
        Self {
            zero_point: output.zero_point,
            low: 0,
            high: 255,
        }
    }

    /// The bytes of an activation function's range.
    pub(super) fn of_activation(output: ByteScale, activation: Activation) -> Self {
        let byte = |value: f32| {
            let steps = (value / output.scale).round();
            output.zero_point.saturating_add(steps as i32)
        };
        let all = Self::of(output);
        match activation {
            Activation::Identity => all,
            Activation::Relu => Self {
                low: byte(0.0).max(0),
                ..all
            },
            Activation::Relu6 => Self {
                low: byte(0.0).max(0),
                high: byte(6.0).min(255),
                ..all
            },
        }
    }

    /// The byte that is `steps` from the zero point.
    fn byte(self, steps: i64) -> u8 {
        let byte = steps.saturating_add(self.zero_point.into());
        byte.clamp(self.low.into(), self.high.into()) as u8
    }
}

/// A factor in fixed point: `factor * 2^(shift - 31)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FixedPoint {
    factor: i32,
    shift: i32,
}

impl FixedPoint {
    pub(super) fn new(value: f64) -> Self {
        let (fraction, mut shift) = fraction_and_exponent(value);
        let mut factor = (fraction * f64::from(1u32 << 31)).round() as i64;
        if factor == 1 << 31 {
            factor /= 2;
            shift += 1;
        }
        if shift < -31 {
            return Self {
                factor: 0,
                shift: 0,
            };
        }
        Self {
            factor: factor as i32,
            shift,
        }
    }

    /// The factor divided by a number of values, with bits of it kept by shifting first.
    pub(super) fn divided_by(self, count: usize) -> Self {
        let bits = count.max(1).ilog2() as i32;
        let extra = bits.min(32).min(31 + self.shift);
        Self {
            factor: ((i64::from(self.factor) << extra) / count.max(1) as i64) as i32,
            shift: self.shift - extra,
        }
    }

    /// `sum` times the factor, rounded twice; the second time with ties away from zero.
    pub(super) fn multiply(self, sum: i32) -> i64 {
        let product = doubling_high(sum.wrapping_shl(self.shift.max(0) as u32), self.factor);
        divide_by_power(product.into(), (-self.shift).max(0))
    }

    /// As [`Self::multiply`], but ties are broken upwards the second time too.
    pub(super) fn multiply_upwards(self, sum: i32) -> i64 {
        let product = doubling_high(sum.wrapping_shl(self.shift.max(0) as u32), self.factor);
        let exponent = (-self.shift).max(0);
        (i64::from(product) + ((1 << exponent) >> 1)) >> exponent
    }

    /// The factor's 31 bits.
    pub(super) fn factor(self) -> i32 {
        self.factor
    }

    /// The exponent beside them.
    pub(super) fn shift(self) -> i32 {
        self.shift
    }
}

/// C's `frexp`, for positive normal numbers: a fraction from 0.5 to 1, and an exponent.
fn fraction_and_exponent(value: f64) -> (f64, i32) {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let fraction = f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52);
    (fraction, exponent)
}

/// `a * b / 2^31`, rounded to the nearest, ties upwards; saturated.
pub(super) fn doubling_high(a: i32, b: i32) -> i32 {
    let product = (i64::from(a) * i64::from(b) + (1 << 30)) >> 31;
    product.min(i32::MAX.into()) as i32
}

/// `value / 2^exponent`, rounded to the nearest, ties away from zero.
pub(super) fn divide_by_power(value: i64, exponent: i32) -> i64 {
    let mask = (1i64 << exponent) - 1;
    let threshold = (mask >> 1) + i64::from(value < 0);
    (value >> exponent) + i64::from(value & mask > threshold)
}

/// The factor of one output channel, if it is not an f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Factor {
    Fixed(FixedPoint),
    /// Rounded twice, with ties upwards.
    Upwards(FixedPoint),
    /// Rounded once, with ties away from zero.
    Double(f64),
}

impl Factor {
    /// The byte for a sum.
    pub(super) fn byte(self, sum: i32, bounds: Bounds) -> u8 {
        let steps = match self {
            Self::Fixed(factor) => factor.multiply(sum),
            Self::Upwards(factor) => factor.multiply_upwards(sum),
            Self::Double(factor) => (f64::from(sum) * factor).round() as i64,
        };
        bounds.byte(steps)
    }
}

/// The byte for a sum times an f32, ties to even.
pub(super) fn byte_of_f32(number: f32, bounds: Bounds) -> u8 {
    bounds.byte(number.round_ties_even() as i64)
}

/// Factor and rounding of a mean over all rows and columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum MeanFactor {
    /// XNNPACK.
    F32(f32),
    /// TFLite's reference kernels.
    Fixed(FixedPoint),
}

impl MeanFactor {
    pub(super) fn new(input: f32, output: f32, count: usize, arithmetic: Arithmetic) -> Self {
        match arithmetic {
            Arithmetic::Xnnpack => Self::F32(input / output * (1.0 / count as f32)),
            Arithmetic::Reference | Arithmetic::Optimized => {
                let factor = FixedPoint::new(f64::from(input) / f64::from(output));
                Self::Fixed(factor.divided_by(count))
            }
        }
    }

    /// The byte for a sum of steps from the input's zero point.
    pub(super) fn byte(self, sum: i32, bounds: Bounds) -> u8 {
        match self {
            Self::F32(factor) => byte_of_f32(sum as f32 * factor, bounds),
            Self::Fixed(factor) => bounds.byte(factor.multiply(sum)),
        }
    }
}

/// How the sums of a layer become bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Factors {
    /// One f32 for each output channel.
    F32(Vec<f32>),
    /// One for each output channel.
    Exact(Vec<Factor>),
}

/// XNNPACK refuses a layer with a larger factor.
const XNNPACK_LIMIT: f32 = 256.0;

impl Factors {
    /// The factors of a convolution: the input's scale times the weights', divided by the output's.
    /// `None` if there is one that the arithmetic cannot multiply by.
    pub(super) fn new(
        convolution: &QuantizedConvolution,
        input: Quantized,
        output: Quantized,
        arithmetic: Arithmetic,
    ) -> Option<Self> {
        let channels = 0..convolution.out_channels;
        let weights = |channel| convolution.weights.scale(channel);
        if arithmetic == Arithmetic::Xnnpack {
            let factor = |channel| input.scale * weights(channel) / output.scale;
            let factors: Vec<f32> = channels.map(factor).collect();
            let limited = factors.iter().all(|&factor| factor < XNNPACK_LIMIT);
            return limited.then_some(Self::F32(factors));
        }
        let factor = |channel: usize| {
            let weights = weights(channel);
            let in_f64 = f64::from(input.scale) * f64::from(weights);
            let output = f64::from(output.scale);
            match input.integer {
                _ if convolution.fully_connected => Factor::Double(in_f64 / output),
                // TFLite multiplies these scales in f32.
                IntegerType::U8 => {
                    let in_f32 = f64::from(input.scale * weights);
                    let factor = FixedPoint::new(in_f32 / output);
                    match (arithmetic, convolution.kind) {
                        (Arithmetic::Optimized, ConvKind::Conv) => Factor::Upwards(factor),
                        _ => Factor::Fixed(factor),
                    }
                }
                IntegerType::I8 => Factor::Fixed(FixedPoint::new(in_f64 / output)),
            }
        };
        Some(Self::Exact(channels.map(factor).collect()))
    }

    /// The byte for a channel's sum.
    pub(super) fn byte(&self, channel: usize, sum: i32, bounds: Bounds) -> u8 {
        match self {
            Self::Exact(factors) => factors
                .get(channel)
                .map_or(0, |factor| factor.byte(sum, bounds)),
            Self::F32(factors) => factors
                .get(channel)
                .map_or(0, |factor| byte_of_f32(sum as f32 * factor, bounds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_point_is_the_factor_to_31_bits() {
        for value in [0.5, 0.9999999999, 1.0, 0.003, 200.0, 1e-9] {
            let fixed = FixedPoint::new(value);
            let found = f64::from(fixed.factor) * f64::from(fixed.shift - 31).exp2();
            assert!((found / value - 1.0).abs() < 1e-9, "{value}: {found}");
        }
        assert_eq!(FixedPoint::new(1e-30).factor, 0);
    }

    #[test]
    fn ties_are_broken_as_named() {
        let quarter = FixedPoint::new(0.25);
        let sums = [-10, -6, -2, 2, 6, 10];
        assert_eq!(sums.map(|sum| quarter.multiply(sum)), [-3, -2, -1, 1, 2, 3]);
        let upwards = sums.map(|sum| quarter.multiply_upwards(sum));
        assert_eq!(upwards, [-2, -1, 0, 1, 2, 3]);
        let all = Bounds {
            zero_point: 100,
            low: 0,
            high: 255,
        };
        let even = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5].map(|x| byte_of_f32(x, all));
        assert_eq!(even, [98, 98, 100, 100, 102, 102]);
    }
}
