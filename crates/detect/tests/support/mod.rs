//! Pillow's bilinear resize to the bit. The library's own is within one grey level of it, which is
//! too much where integers are compared.

use mobilenet_model::preprocess::Photo;

/// Bits behind the point of Pillow's coefficients.
const BITS: u32 = 22;

/// A photo squeezed to a square, `[side, side, 3]`.
pub(crate) fn squeezed(photo: &Photo, side: usize) -> Vec<u8> {
    let (width, height) = (photo.width() as usize, photo.height() as usize);
    let columns = coefficients(width, side);
    let mut rows = Vec::new();
    for row in photo.as_raw().chunks_exact(3 * width) {
        for (first, factors) in &columns {
            rows.extend((0..3).map(|c| sum(factors, |i| row[3 * (first + i) + c])));
        }
    }
    let mut squeezed = Vec::new();
    for (first, factors) in coefficients(height, side) {
        let column = |x: usize| sum(&factors, |i| rows[(first + i) * 3 * side + x]);
        squeezed.extend((0..3 * side).map(column));
    }
    squeezed
}

fn sum(factors: &[i64], value: impl Fn(usize) -> u8) -> u8 {
    let products = factors.iter().enumerate();
    let sum: i64 = products
        .map(|(i, factor)| factor * i64::from(value(i)))
        .sum();
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// For each result, the first value that it reads, and the factors of the values.
fn coefficients(from: usize, to: usize) -> Vec<(usize, Vec<i64>)> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let each = (0..to).map(|index| {
        let centre = (index as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |x: usize| (1.0 - ((x as f64 - centre + 0.5) / support).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (0.5 + weight / total * f64::from(1 << BITS)) as i64;
        (first, weights.iter().map(fixed).collect())
    });
    each.collect()
}
