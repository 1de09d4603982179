//! k-means in one dimension: Lloyd's algorithm on sorted values, whose sums between two places are
//! differences of sums from the start.

/// Most rounds. The error falls by less than a thousandth in the last.
const ROUNDS: usize = 60;
/// Bins in which the density is measured for the first centres.
const BINS: usize = 4096;

/// At most `count` centres in rising order, for finite values. None without values.
pub(super) fn k_means(mut values: Vec<f32>, count: usize) -> Vec<f32> {
    values.sort_by(f32::total_cmp);
    let (Some(&low), Some(&high)) = (values.first(), values.last()) else {
        return Vec::new();
    };
    let sums = std::iter::once(0.0).chain(values.iter().scan(0.0, |sum, &value| {
        *sum += f64::from(value);
        Some(*sum)
    }));
    let sums: Vec<f64> = sums.collect();
    let mut centres = first(&values, low, high, count);
    for _ in 0..ROUNDS {
        let mut start = 0;
        let mut moved = Vec::with_capacity(centres.len());
        for index in 0..centres.len() {
            let end = match centres.get(index + 1) {
                Some(next) => {
                    let middle = 0.5 * (centres[index] + next);
                    values.partition_point(|&value| value < middle)
                }
                None => values.len(),
            };
            // A centre without values is of no use.
            if end > start {
                let mean = (sums[end] - sums[start]) / (end - start) as f64;
                moved.push(mean as f32);
                start = end;
            }
        }
        let same = moved == centres;
        centres = moved;
        if same {
            break;
        }
    }
    centres.dedup();
    centres
}

/// First centres: as dense as the cube root of the values' density, which is what the best many
/// levels are. Rare large values, which cost most, get levels too.
fn first(values: &[f32], low: f32, high: f32, count: usize) -> Vec<f32> {
    let width = f64::from(high) - f64::from(low);
    if width <= 0.0 {
        return vec![low];
    }
    let mut density = vec![0f64; BINS];
    for &value in values {
        let bin = (f64::from(value) - f64::from(low)) / width * BINS as f64;
        density[(bin as usize).min(BINS - 1)] += 1.0;
    }
    density.iter_mut().for_each(|bin| *bin = bin.cbrt());
    let total: f64 = density.iter().sum();
    let (mut passed, mut bin) = (0.0, 0);
    let mut centres = Vec::with_capacity(count);
    for index in 0..count {
        let wanted = (index as f64 + 0.5) / count as f64 * total;
        while bin + 1 < BINS && passed + density[bin] < wanted {
            passed += density[bin];
            bin += 1;
        }
        let within = ((wanted - passed) / density[bin].max(1.0)).clamp(0.0, 1.0);
        centres.push((f64::from(low) + (bin as f64 + within) / BINS as f64 * width) as f32);
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(values: &[f32], centres: &[f32]) -> f64 {
        let of = |value: f32| {
            let each = centres.iter().map(|c| f64::from(value - c).powi(2));
            each.fold(f64::INFINITY, f64::min)
        };
        values.iter().map(|&value| of(value)).sum()
    }

    #[test]
    fn separate_groups_are_found() {
        let values = vec![5.0, -1.0, 1.1, -1.2, 0.9, 5.0, 1.0];
        let centres = k_means(values, 3);
        let expected = [-1.1, 1.0, 5.0];
        assert!(
            centres
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        assert_eq!(centres.len(), 3);
        assert_eq!(k_means(vec![2.0; 9], 16), [2.0]);
        assert_eq!(k_means(vec![1.0, 3.0], 16), [1.0, 3.0]);
        assert!(k_means(Vec::new(), 4).is_empty());
    }

    #[test]
    fn it_is_better_than_even_steps() {
        // Sums of three: many small values and few large ones.
        let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
        let values: Vec<f32> = (0..6000)
            .map(|i| (noise(3 * i) + noise(3 * i + 1) + noise(3 * i + 2)).powi(3))
            .collect();
        let (low, high) = values
            .iter()
            .fold((0f32, 0f32), |(a, b), &v| (a.min(v), b.max(v)));
        let even: Vec<f32> = (0..16)
            .map(|i| low + (high - low) * (i as f32 + 0.5) / 16.0)
            .collect();
        let centres = k_means(values.clone(), 16);
        assert!(centres.is_sorted() && centres.len() == 16);
        assert!(error(&values, &centres) < 0.4 * error(&values, &even));
    }
}
