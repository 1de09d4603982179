//! How an image becomes the integers of the first layer.

use mobilenet_kernels::integer::{IntegerType, Quantized};

use super::codes::code;
use super::range::covering;
use crate::preprocess::Preprocessing;

/// How a normalised image becomes integers.
pub(super) struct InputRule {
    pub(super) quantized: Quantized,
    /// Added to numbers in units of the scale.
    shift: f32,
    /// Whether the integers are the photo's samples themselves.
    pub(super) of_samples: bool,
    /// Preprocessing after which quantisation gives these integers.
    pub(super) preprocessing: Preprocessing,
}

impl InputRule {
    pub(super) fn new(preprocessing: &Preprocessing, integer: IntegerType) -> Self {
        of_samples(preprocessing, integer).unwrap_or_else(|| by_range(preprocessing, integer))
    }

    /// Codes of an image that was normalised by the float network's preprocessing.
    pub(super) fn codes(&self, image: &[f32]) -> Vec<u8> {
        let steps = image
            .iter()
            .map(|value| value / self.quantized.scale + self.shift);
        steps.map(|steps| code(steps, &self.quantized)).collect()
    }
}

/// If all channels are normalised in the same way, the integers are the photo's 8-bit samples. The
/// sample that means 0 is a whole number, so the numbers shift by up to half a step: `p / 127.5 - 1`
/// becomes `(p - 128) / 127.5`. The first bias makes up for it.
fn of_samples(preprocessing: &Preprocessing, integer: IntegerType) -> Option<InputRule> {
    let Preprocessing { mean, std, .. } = preprocessing;
    let ((&mean, means), (&std, stds)) = (mean.split_first()?, std.split_first()?);
    let same = means.iter().all(|other| *other == mean) && stds.iter().all(|other| *other == std);
    let scale = 1.0 / (255.0 * std);
    if !(same && (0.0..=1.0).contains(&mean) && scale.is_normal() && scale > 0.0) {
        return None;
    }
    let zero = (255.0 * mean).round();
    let mut preprocessing = preprocessing.clone();
    preprocessing.mean.fill(zero / 255.0);
    Some(InputRule {
        quantized: Quantized {
            integer,
            scale,
            zero_point: zero as i32 + integer.min(),
        },
        shift: 255.0 * mean - zero,
        of_samples: true,
        preprocessing,
    })
}

/// Numbers from black to white of all channels.
fn by_range(preprocessing: &Preprocessing, integer: IntegerType) -> InputRule {
    let pairs = preprocessing.mean.iter().zip(&preprocessing.std);
    let ends = pairs.flat_map(|(mean, std)| [-mean / std, (1.0 - mean) / std]);
    let (low, high) = ends.fold((0f32, 0f32), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    InputRule {
        quantized: covering((low, high), integer),
        shift: 0.0,
        of_samples: false,
        preprocessing: preprocessing.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::zero_code;
    use super::*;

    /// Every sample of a photo keeps its own integer.
    #[test]
    fn samples_stay_as_they_are() {
        for (mean, std, zero) in [(0.5, 0.5, 128), (0.0, 1.0, 0), (0.485, 0.229, 124)] {
            let preprocessing = Preprocessing {
                mean: vec![mean; 3],
                std: vec![std; 3],
                ..Preprocessing::plain(32)
            };
            let rule = InputRule::new(&preprocessing, IntegerType::I8);
            assert!(rule.of_samples);
            assert_eq!(zero_code(&rule.quantized), zero);
            let normalized = |mean: f32| -> Vec<f32> {
                let samples = (0..=255).map(|sample| sample as f32 / 255.0);
                samples.map(|sample| (sample - mean) / std).collect()
            };
            let expected: Vec<u8> = (0..=255).collect();
            assert_eq!(rule.codes(&normalized(mean)), expected);
            // The rule's own preprocessing needs no shift.
            let found = normalized(rule.preprocessing.mean[0]);
            let found = found
                .iter()
                .map(|x| code(x / rule.quantized.scale, &rule.quantized));
            assert!(found.eq(expected));
        }
    }

    #[test]
    fn channels_of_different_means_share_a_range() {
        let preprocessing = Preprocessing {
            mean: vec![0.4, 0.5, 0.6],
            std: vec![0.2, 0.2, 0.25],
            ..Preprocessing::plain(32)
        };
        let rule = InputRule::new(&preprocessing, IntegerType::U8);
        assert!(!rule.of_samples);
        let quantized = rule.quantized;
        assert!((quantized.scale - 5.5 / 255.0).abs() < 1e-6);
        assert_eq!(
            rule.codes(&[0.0, -2.5, 3.0]),
            [zero_code(&quantized) as u8, 0, 255]
        );
    }
}
