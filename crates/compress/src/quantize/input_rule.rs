//! How an image becomes the integers of the first layer.

use mobilenet_kernels::integer::{IntegerType, Integers, Quantized};

use super::range::covering;
use mobilenet_model::preprocess::Preprocessing;

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

    /// Integers of images that were normalised by the float network's preprocessing.
    pub(super) fn integers<T: AsRef<[f32]>>(&self, images: &[T]) -> Integers {
        let values = images.iter().flat_map(|image| image.as_ref());
        let integers = values.map(|value| self.integer(*value));
        // The range is that of the type.
        match self.quantized.integer {
            IntegerType::U8 => Integers::U8(integers.map(|integer| integer as u8).collect()),
            IntegerType::I8 => Integers::I8(integers.map(|integer| integer as i8).collect()),
        }
    }

    fn integer(&self, value: f32) -> i32 {
        let Quantized {
            integer,
            scale,
            zero_point,
        } = self.quantized;
        let steps = (value / scale + self.shift).round_ties_even() as i32;
        steps
            .saturating_add(zero_point)
            .clamp(integer.min(), integer.max())
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
    let [low, high] = preprocessing.range();
    InputRule {
        quantized: covering((low, high), integer),
        shift: 0.0,
        of_samples: false,
        preprocessing: preprocessing.clone(),
    }
}

#[cfg(test)]
mod tests {
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
            let normalized = |mean: f32| -> Vec<f32> {
                let samples = (0..=255).map(|sample| sample as f32 / 255.0);
                samples.map(|sample| (sample - mean) / std).collect()
            };
            let rule = InputRule::new(&preprocessing, IntegerType::I8);
            assert!(rule.of_samples);
            assert_eq!(rule.quantized.zero_point, zero - 128);
            let expected = Integers::I8((-128..=127).collect());
            assert_eq!(rule.integers(&[normalized(mean)]), expected);
            // The rule's own preprocessing needs no shift.
            let plain = InputRule { shift: 0.0, ..rule };
            let mean = plain.preprocessing.mean[0];
            assert_eq!(plain.integers(&[normalized(mean)]), expected);
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
        assert!((rule.quantized.scale - 5.5 / 255.0).abs() < 1e-6);
        let zero = rule.quantized.zero_point as u8;
        assert_eq!(
            rule.integers(&[[0.0, -2.5, 3.0]]),
            Integers::U8(vec![zero, 0, 255])
        );
    }
}
