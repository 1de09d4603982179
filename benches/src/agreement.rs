//! The difference between the outputs of two engines.

/// The largest absolute difference, divided by the largest absolute expected value. Infinite if
/// there is a NaN or the lengths differ.
pub fn relative_difference(found: &[f32], expected: &[f32]) -> f32 {
    if found.len() != expected.len() {
        return f32::INFINITY;
    }
    let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    let difference = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, |max, x| {
            if x.is_nan() {
                f32::INFINITY
            } else {
                max.max(x)
            }
        });
    if difference == 0.0 {
        0.0
    } else {
        difference / largest
    }
}

#[cfg(test)]
mod tests {
    use super::relative_difference;

    #[test]
    fn nan_and_other_lengths_are_infinitely_far() {
        assert_eq!(relative_difference(&[1.0, -4.0], &[1.0, -5.0]), 0.2);
        assert_eq!(relative_difference(&[0.0], &[0.0]), 0.0);
        assert_eq!(relative_difference(&[f32::NAN], &[1.0]), f32::INFINITY);
        assert_eq!(relative_difference(&[1.0], &[1.0, 2.0]), f32::INFINITY);
    }
}
