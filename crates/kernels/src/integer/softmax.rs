//! Softmax of integers. A network's logits have at most 256 values, so all exponentials are in a
//! table.

use super::network::{Arithmetic, IntegerType};
use super::rounding::{ByteScale, FixedPoint, divide_by_power, doubling_high};

/// Exponentials of a layer by the distance of a logit from the largest one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Exponentials {
    /// TFLite's optimised kernels on x86, which run also beside XNNPACK.
    F32(Box<[f32; 256]>),
    /// gemmlowp's fixed point with 31 bits behind the point. `None`: too small to count.
    Fixed(Box<[Option<i32>; 256]>),
}

/// The output's scale that TFLite's format fixes.
pub(super) const FIXED_SCALE: f32 = 1.0 / 256.0;

impl Exponentials {
    pub(super) fn new(scale: f32, beta: f32, arithmetic: Arithmetic) -> Self {
        if arithmetic != Arithmetic::Reference {
            let step = -scale * beta;
            let table = std::array::from_fn(|distance| exp(step * distance as f32));
            return Self::F32(Box::new(table));
        }
        let step = f64::from(beta) * f64::from(scale) * f64::from(1u32 << 26);
        let factor = FixedPoint::new(step.min(f64::from(i32::MAX)));
        let (factor, shift) = (factor.factor(), factor.shift().clamp(0, 31));
        let farthest = (31.0 * f64::from(1u32 << 26) / f64::from(shift).exp2()).floor();
        let table = std::array::from_fn(|distance| {
            let shifted = -(distance as i64) << shift;
            (distance as f64 <= farthest)
                .then(|| fixed_exp(doubling_high(shifted.max(i32::MIN.into()) as i32, factor)))
        });
        Self::Fixed(Box::new(table))
    }

    /// Softmax of a pixel's logits. All are bytes. Fixed point has the fixed scale.
    pub(super) fn run(&self, logits: &[u8], scale: ByteScale, output: &mut [u8]) {
        let largest = logits.iter().copied().max().unwrap_or_default();
        let distance = |logit: u8| usize::from(largest - logit);
        match self {
            Self::F32(table) => {
                // One after another: the order decides the last bits.
                let sum = logits
                    .iter()
                    .fold(0.0f32, |sum, &q| sum + table[distance(q)]);
                let factor = 1.0 / (sum * scale.scale);
                for (to, &logit) in output.iter_mut().zip(logits) {
                    let number = table[distance(logit)] * factor;
                    // Rust's conversion truncates and saturates.
                    *to = match scale.integer() {
                        IntegerType::U8 => (number + 0.5) as u8,
                        IntegerType::I8 => number.round() as u8,
                    };
                }
            }
            Self::Fixed(table) => {
                let terms = logits.iter().filter_map(|&logit| table[distance(logit)]);
                let sum: i64 = terms.map(|term| divide_by_power(term.into(), 12)).sum();
                // The largest logit's term alone is 2^19. Shifted, the sum begins with bit 31.
                let zeros = sum.leading_zeros() as i32 - 32;
                let shifted = match zeros {
                    0.. => sum << zeros,
                    _ => sum >> -zeros,
                };
                let reciprocal = one_over_one_plus((shifted - (1 << 31)) as i32);
                for (to, &logit) in output.iter_mut().zip(logits) {
                    *to = table[distance(logit)].map_or(0, |term| {
                        let product = doubling_high(reciprocal, term);
                        let exponent = 12 - zeros + 31 - 8;
                        divide_by_power(product.into(), exponent).clamp(0, 255) as u8
                    });
                }
            }
        }
    }
}

/// The exponential function to the bits of glibc, whose `expf` TFLite calls. The algorithm is that
/// of Arm's optimized routines: `2^(k/32)` from a table times a polynomial, in f64.
fn exp(x: f32) -> f32 {
    const TABLE: [u64; 32] = [
        0x3ff0000000000000,
        0x3fefd9b0d3158574,
        0x3fefb5586cf9890f,
        0x3fef9301d0125b51,
        0x3fef72b83c7d517b,
        0x3fef54873168b9aa,
        0x3fef387a6e756238,
        0x3fef1e9df51fdee1,
        0x3fef06fe0a31b715,
        0x3feef1a7373aa9cb,
        0x3feedea64c123422,
        0x3feece086061892d,
        0x3feebfdad5362a27,
        0x3feeb42b569d4f82,
        0x3feeab07dd485429,
        0x3feea47eb03a5585,
        0x3feea09e667f3bcd,
        0x3fee9f75e8ec5f74,
        0x3feea11473eb0187,
        0x3feea589994cce13,
        0x3feeace5422aa0db,
        0x3feeb737b0cdc5e5,
        0x3feec49182a3f090,
        0x3feed503b23e255d,
        0x3feee89f995ad3ad,
        0x3feeff76f2fb5e47,
        0x3fef199bdd85529c,
        0x3fef3720dcef9069,
        0x3fef5818dcfba487,
        0x3fef7c97337b9b5f,
        0x3fefa4afa2a490da,
        0x3fefd0765b6e4540,
    ];
    let constant = f64::from_bits;
    let steps_per_unit = constant(0x40471547652b82fe);
    let cubic = [0x3ebc6af84b912394, 0x3f2ebfce50fac4f3, 0x3f962e42ff0c52d6].map(constant);
    // The result would be 0 in f32.
    if x < -104.0 {
        return 0.0;
    }
    let steps = steps_per_unit * f64::from(x);
    let whole = steps.round_ties_even();
    let rest = steps - whole;
    let whole = whole as i64;
    let entry = TABLE[whole.rem_euclid(32) as usize];
    let power = f64::from_bits(entry.wrapping_add((whole << 47) as u64));
    let square = rest * rest;
    let low = cubic[2] * rest + 1.0;
    let high = cubic[0] * rest + cubic[1];
    ((high * square + low) * power) as f32
}

/// `2^shift * value`, saturated.
fn saturating_shift(value: i32, shift: u32) -> i32 {
    (i64::from(value) << shift).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// gemmlowp: the exponential of a number that is not positive, with 26 bits behind the point. The
/// result has 31.
fn fixed_exp(x: i32) -> i32 {
    if x == 0 {
        return i32::MAX;
    }
    const QUARTER: i32 = 1 << 24;
    let fraction = (x & (QUARTER - 1)) - QUARTER;
    let mut result = exp_of_fraction(saturating_shift(fraction, 5));
    // exp(-1/4), exp(-1/2), ... exp(-16).
    let powers = [
        1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242,
    ];
    let rest = fraction.wrapping_sub(x);
    for (bit, power) in (24..).zip(powers) {
        if rest & (1 << bit) != 0 {
            result = doubling_high(result, power);
        }
    }
    result
}

/// gemmlowp: the exponential of a number from -1/4 to 0, by the Taylor series around -1/8.
fn exp_of_fraction(x: i32) -> i32 {
    const EXP_OF_EIGHTH: i32 = 1895147668;
    const THIRD: i32 = 715827883;
    let x = x.wrapping_add(1 << 28);
    let square = doubling_high(x, x);
    let cube = doubling_high(square, x);
    let fourth = doubling_high(square, square);
    let fourth = divide_by_power(fourth.into(), 2) as i32;
    let third = doubling_high(fourth.wrapping_add(cube), THIRD);
    let tail = divide_by_power(i64::from(third.wrapping_add(square)), 1) as i32;
    let product = doubling_high(EXP_OF_EIGHTH, x.wrapping_add(tail));
    EXP_OF_EIGHTH.wrapping_add(product)
}

/// gemmlowp: `1 / (1 + x)` for `x` from 0 to 1, both with 31 bits behind the point, by Newton's
/// method.
fn one_over_one_plus(x: i32) -> i32 {
    let sum = i64::from(x) + i64::from(i32::MAX);
    let half = ((sum + if sum >= 0 { 1 } else { -1 }) / 2) as i32;
    let mut result = doubling_high(half, -1010580540).wrapping_add(1515870810);
    for _ in 0..3 {
        let error = (1 << 29) - doubling_high(half, result);
        result = result.wrapping_add(saturating_shift(doubling_high(result, error), 2));
    }
    saturating_shift(divide_by_power(result.into(), 1) as i32, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_near_the_true_ones() {
        for i in 0..100_000 {
            let x = -(i as f32) * 1e-3;
            let expected = f64::from(x).exp();
            let found = f64::from(exp(x));
            assert!((found - expected).abs() <= expected * 6.1e-8 + 1e-45, "{x}");
        }
    }

    #[test]
    fn fixed_point_exponentials_and_reciprocals_are_near_the_true_ones() {
        let unit = f64::from(1u32 << 31);
        for i in 0..10_000 {
            let x = -i * 100_000;
            let expected = (f64::from(x) / f64::from(1 << 26)).exp();
            // The series ends at the fourth power.
            assert!((f64::from(fixed_exp(x)) / unit - expected).abs() < 3e-7);
            let x = i * 200_000;
            let expected = 1.0 / (1.0 + f64::from(x) / unit);
            assert!((f64::from(one_over_one_plus(x)) / unit - expected).abs() < 1e-8);
        }
    }
}
