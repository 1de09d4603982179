//! Pillow's antialiasing filters, along one axis.

/// A filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Triangle.
    Bilinear,
    /// Cubic with a = -0.5.
    Bicubic,
}

impl Filter {
    /// How far from its centre the filter is not zero.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// What each output sample is made of.
#[derive(Debug)]
pub(crate) struct Taps {
    /// For each output, its first input and where its weights begin.
    starts: Vec<(usize, usize)>,
    weights: Vec<f32>,
}

impl Taps {
    /// Taps for a side of `from` samples that becomes `to` samples, of which `count` from `first`
    /// on are wanted. What is beyond the last sample has no taps.
    pub(crate) fn new(filter: Filter, from: usize, to: usize, first: usize, count: usize) -> Self {
        let scale = from as f64 / to as f64;
        let width = scale.max(1.0);
        let support = filter.support() * width;
        let (mut starts, mut weights) = (Vec::with_capacity(count + 1), Vec::new());
        for output in first..first + count {
            let centre = (output as f64 + 0.5) * scale;
            let low = (centre - support + 0.5).max(0.0) as usize;
            let high = match output < to {
                true => ((centre + support + 0.5) as usize).min(from),
                false => low,
            };
            let of = |input: usize| filter.at((input as f64 - centre + 0.5) / width);
            let sum: f64 = (low..high).map(of).sum();
            starts.push((low, weights.len()));
            weights.extend((low..high).map(|input| (of(input) / sum) as f32));
        }
        starts.push((from, weights.len()));
        Self { starts, weights }
    }

    /// For each output, its first input and its weights.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let ends = self.starts.iter().skip(1);
        self.starts
            .iter()
            .zip(ends)
            .map(|(&(input, start), &(_, end))| (input, &self.weights[start..end]))
    }
}

/// A sample of 8 bits.
pub(crate) fn rounded(value: f32) -> u8 {
    // The conversion saturates.
    (value + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            for (from, to) in [(1, 7), (7, 1), (100, 33), (33, 100), (5, 5)] {
                let taps = Taps::new(filter, from, to, 0, to);
                assert_eq!(taps.iter().count(), to);
                for (start, weights) in taps.iter() {
                    assert!(start + weights.len() <= from);
                    assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                }
            }
        }
    }
}
