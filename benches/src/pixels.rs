//! Synthetic images.

/// `count` pseudo-random values in [-1, 1), always the same.
pub fn pixels(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}
