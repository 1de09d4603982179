//! Moving ranges of activations, after TensorFlow's `moving_average` with "zero debias".
//!
//! ```text
//! biased := biased - (biased - value) * 0.001        from 0 on
//! range   = biased / (1 - 0.999^steps)
//! ```
//!
//! All steps are in f32, as in TensorFlow. So a value of 6 at every step ends at 5.9997616, as in
//! all quantised networks that Google published.

use crate::fake_quantization::Grid;

/// How far a step moves an average.
const SHARE: f32 = 0.001;

/// The range of an activation before the first step.
const INITIAL: [f32; 2] = [0.0, 6.0];

/// Ranges of all activations.
#[derive(Debug, Clone, Copy)]
pub struct MovingRanges<'a> {
    /// Smallest and largest value of each layer's activation, in order, and of the logits. Averages
    /// that began with 0.
    pub biased: &'a [f32],
    /// Number of steps in these averages.
    pub steps: u64,
}

/// The range that two averages stand for.
pub fn debiased(biased: [f32; 2], steps: u64) -> [f32; 2] {
    if steps == 0 {
        return INITIAL;
    }
    let left = f64::from(1.0 - SHARE).powf(steps as f64) as f32;
    biased.map(|value| value / (1.0 - left))
}

impl MovingRanges<'_> {
    fn averages(&self, index: usize) -> [f32; 2] {
        [self.biased[2 * index], self.biased[2 * index + 1]]
    }

    /// The averages of range `index`, and the range.
    pub(super) fn kept(&self, index: usize) -> ([f32; 2], [f32; 2]) {
        let biased = self.averages(index);
        (biased, debiased(biased, self.steps))
    }

    /// The same after they are moved towards a batch's values.
    pub(super) fn moved(&self, index: usize, batch: [f32; 2]) -> ([f32; 2], [f32; 2]) {
        let biased = self.averages(index);
        // The range contains 0.
        let batch = [batch[0].min(0.0), batch[1].max(0.0)];
        let moved = [0, 1].map(|end| biased[end] - (biased[end] - batch[end]) * SHARE);
        (moved, debiased(moved, self.steps.saturating_add(1)))
    }
}

/// Offsets of a layer's range in the arena.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedRange {
    /// The moved averages.
    pub(super) biased: usize,
    /// The grid.
    pub(super) grid: usize,
}

/// Values of the arena that a grid takes.
pub(super) const GRID: usize = size_of::<Grid>().div_ceil(size_of::<f32>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_maximum_ends_at_the_scale_of_googles_networks() {
        let mut biased = [0.0, 0.0];
        let step = |biased: [f32; 2], steps| {
            let ranges = MovingRanges {
                biased: &biased,
                steps,
            };
            ranges.moved(0, [0.5, 6.0])
        };
        for steps in 0..20_000 {
            let (moved, [min, max]) = step(biased, steps);
            // The initial value has no weight, from the first step on.
            assert!(min == 0.0 && (max - 6.0).abs() < 3e-4, "{steps}: {max}");
            biased = moved;
        }
        let (moved, [_, max]) = step(biased, 1_000_000);
        assert_eq!((moved[1], max), (5.999_761_6, 5.999_761_6));
        assert_eq!(f64::from(max / 255.0), 0.023_528_477_177_023_888);
        assert_eq!(debiased([0.0, 0.0], 0), [0.0, 6.0]);
    }
}
