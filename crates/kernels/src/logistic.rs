//! The logistic function of many numbers, without branches, so that the compiler uses vectors.

/// Replaces each number by `1 / (1 + exp(-number))`, within 4e-7 of its size. NaN stays NaN.
pub fn logistic(values: &mut [f32]) {
    for value in values {
        *value = 1.0 / (1.0 + exp(-*value));
    }
}

/// Beyond these, the result is no normal number.
const RANGE: (f32, f32) = (-87.0, 88.0);
/// The sum with it has no digits after the point.
const WHOLE: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first has so few digits that its products are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Cephes' polynomial for the rest of the series after 1 + x, divided by x squared.
const SERIES: [f32; 6] = [
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    0.5,
];

#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(RANGE.0, RANGE.1);
    // x = power * ln 2 + rest
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let power = shifted - WHOLE;
    let rest = x - power * LN_2[0] - power * LN_2[1];
    let series = SERIES.iter().fold(0.0, |sum, term| sum * rest + term);
    // The low bits of `shifted` are the power; those of the exponent are 23 places higher.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    (series * rest * rest + rest + 1.0) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_function_everywhere() {
        for step in -200_000..=200_000 {
            let x = step as f32 * 5e-4;
            let mut found = [x];
            logistic(&mut found);
            let expected = 1.0 / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(found[0]) - expected).abs();
            let limit = if x > -86.0 { 4e-7 * expected } else { 1e-37 };
            assert!(error <= limit, "{x}: {}, expected {expected}", found[0]);
        }
    }

    #[test]
    fn ends_and_broken_numbers() {
        let mut values = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0];
        logistic(&mut values);
        assert_eq!(values[0], 1.0);
        assert!(values[1] < 1e-37);
        assert!(values[2].is_nan());
        assert_eq!(values[3], 0.5);
    }
}
