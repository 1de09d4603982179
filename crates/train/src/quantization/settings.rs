//! Settings of training for integers: scales of the weights, and delays.

use mobilenet_kernels::fake_quantization::WeightScheme;
use mobilenet_kernels::training::FakeQuantization;
use serde::{Deserialize, Serialize};

/// Steps of slim's training from scratch before values are rounded.
pub const FROM_SCRATCH_DELAY: u64 = 250_000;

/// How many scales the weights of a layer have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// One, as in TensorFlow 1. The network becomes one of unsigned integers, like Google's.
    #[default]
    PerTensor,
    /// One per output channel, for symmetric ranges. The network becomes one of signed integers,
    /// as in TensorFlow Lite's specification.
    PerChannel,
}

/// Settings of the quantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Scales of the weights.
    pub scheme: Scheme,
    /// The first step, counted from 1, that rounds (`quant_delay`). Earlier steps only measure
    /// ranges.
    pub delay: u64,
    /// The first step, counted from 1, from which batch normalisation uses its running statistics
    /// and no longer updates them (`freeze_bn_delay`). slim's scripts have none.
    pub freeze_batch_norm_delay: Option<u64>,
}

impl Quantization {
    /// Whether a network rounds after this number of steps. TensorFlow counts a step before it
    /// compares, so step number `delay` rounds.
    pub fn rounds(&self, steps: u64) -> bool {
        steps >= self.delay
    }

    /// What the step after `steps` others does.
    pub(crate) fn next(&self, steps: u64) -> FakeQuantization {
        match self.rounds(steps.saturating_add(1)) {
            true => FakeQuantization::Round(self.scheme.into()),
            false => FakeQuantization::Measure,
        }
    }

    /// Whether batch normalisation is frozen in the step after `steps` others.
    pub(crate) fn freezes_batch_norm(&self, steps: u64) -> bool {
        self.freeze_batch_norm_delay
            .is_some_and(|delay| steps.saturating_add(1) >= delay)
    }
}

impl From<Scheme> for WeightScheme {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::PerTensor => Self::PerTensor,
            Scheme::PerChannel => Self::PerChannel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_count_steps_from_one() {
        let quantization = Quantization {
            delay: 3,
            freeze_batch_norm_delay: Some(5),
            ..Quantization::default()
        };
        let rounding = FakeQuantization::Round(WeightScheme::PerTensor);
        let next = [0, 1, 2, 3, 4].map(|steps| quantization.next(steps));
        assert_eq!(next[..2], [FakeQuantization::Measure; 2]);
        assert_eq!(next[2..], [rounding; 3]);
        let frozen = [2, 3, 4, 5].map(|steps| quantization.freezes_batch_norm(steps));
        assert_eq!(frozen, [false, false, true, true]);
        assert_eq!(Quantization::default().next(0), rounding);
        assert!(!Quantization::default().freezes_batch_norm(u64::MAX - 1));
    }
}
