//! How finely the layers are rounded. Errors of all layers add up in the answers, each about as
//! much, so the fewest bytes for an error have the layers that add equal amounts: steps grow with
//! the square root of the number of weights, half a bit for each doubling.

/// A layer with less than this share of the weights takes 8 bits with any method: all such layers
/// together are a few percent of the file.
const SMALL: f64 = 1.0 / 32.0;

/// The bits of layers with these numbers of weights, whose mean over all weights is `mean`.
pub(super) fn spread(weights: &[usize], mean: f64) -> Vec<f64> {
    let total: f64 = weights.iter().map(|&count| count as f64).sum();
    let logarithm = |count: usize| (count.max(1) as f64).log2();
    let sum: f64 = weights.iter().map(|&n| n as f64 * logarithm(n)).sum();
    let centre = sum / total.max(1.0);
    let bits = weights
        .iter()
        .map(|&n| mean + 0.5 * (centre - logarithm(n)));
    bits.collect()
}

/// Whether each layer is too small to be worth fewer than 8 bits.
pub(super) fn small(weights: &[usize]) -> Vec<bool> {
    let total: f64 = weights.iter().map(|&count| count as f64).sum();
    let is_small = |&count: &usize| (count as f64) < SMALL * total;
    weights.iter().map(is_small).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_layers_get_fewer_bits_and_the_mean_is_kept() {
        let weights = [1 << 20, 1 << 18, 1 << 18, 1 << 12];
        let bits = spread(&weights, 5.0);
        assert!((bits[1] - bits[0] - 1.0).abs() < 1e-9);
        assert!((bits[3] - bits[0] - 4.0).abs() < 1e-9);
        let total: f64 = weights.iter().map(|&n| n as f64).sum();
        let mean = weights.iter().zip(&bits).map(|(&n, b)| n as f64 * b);
        assert!((mean.sum::<f64>() / total - 5.0).abs() < 1e-9);
        assert_eq!(small(&weights), [false, false, false, true]);
    }
}
