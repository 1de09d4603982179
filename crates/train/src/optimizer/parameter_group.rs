//! Groups of neighbouring weights with the same weight decay, trained or frozen.

use std::ops::Range;

use super::sum_of_squares::sum_of_squares;
use crate::error::TrainError;

/// A range of weights with its weight decay. slim's decay is 0.00004 for weights of convolutions
/// and logits. Batch norm has none, and depthwise filters have one only on request.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGroup {
    /// Its range among all weights.
    pub range: Range<usize>,
    /// Factor of L2: `weight_decay * w` is added to the gradient (except for AdamW: see
    /// [`OptimizerConfig::AdamW`](super::OptimizerConfig::AdamW)).
    pub weight_decay: f32,
    /// Whether steps change the weights and their slots.
    pub trainable: bool,
}

impl ParameterGroup {
    /// A trainable group without decay.
    pub fn new(range: Range<usize>) -> Self {
        Self {
            range,
            weight_decay: 0.0,
            trainable: true,
        }
    }

    /// The group with a decay.
    pub fn with_weight_decay(self, weight_decay: f32) -> Self {
        Self {
            weight_decay,
            ..self
        }
    }

    /// Its L2 term, by the sum of its weights' squares.
    pub(super) fn l2(&self, squares: f64) -> f64 {
        f64::from(self.weight_decay) * squares / 2.0
    }

    /// The group, frozen: no step changes it.
    pub fn frozen(self) -> Self {
        Self {
            trainable: false,
            ..self
        }
    }
}

/// The L2 term of the loss: the sum over groups of `weight_decay * sum(w^2) / 2`. It includes
/// frozen groups, as slim's total loss does.
///
/// # Errors
/// If the groups do not cover the weights in order.
pub fn l2_loss(weights: &[f32], groups: &[ParameterGroup]) -> Result<f64, TrainError> {
    check_groups(groups, weights.len())?;
    let decayed = groups.iter().filter(|group| group.weight_decay != 0.0);
    Ok(decayed
        .map(|group| group.l2(sum_of_squares(&weights[group.range.clone()])))
        .sum())
}

pub(super) fn check_groups(groups: &[ParameterGroup], values: usize) -> Result<(), TrainError> {
    let mut end = 0;
    for (
        group,
        ParameterGroup {
            range,
            weight_decay,
            ..
        },
    ) in groups.iter().enumerate()
    {
        if range.start != end || range.end < range.start {
            return Err(TrainError::Groups {
                group,
                expected: end,
                found: range.start,
            });
        }
        if !(weight_decay.is_finite() && *weight_decay >= 0.0) {
            return Err(TrainError::Setting {
                setting: "weight_decay",
                range: "at least 0 and finite",
                found: weight_decay.to_string(),
            });
        }
        end = range.end;
    }
    TrainError::check_length("all parameter groups", values, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_the_weights_in_order() {
        let groups = |ranges: &[Range<usize>]| -> Vec<ParameterGroup> {
            ranges.iter().cloned().map(ParameterGroup::new).collect()
        };
        assert!(check_groups(&groups(&[0..3, 3..3, 3..5]), 5).is_ok());
        for (ranges, message) in [
            (
                &[0..3, 4..5][..],
                "parameter group 1 begins at value 4, expected 3",
            ),
            (
                &[0..3, 2..5],
                "parameter group 1 begins at value 2, expected 3",
            ),
            (
                &[0..3, 3..4],
                "expected 5 values of all parameter groups, found 4",
            ),
        ] {
            let error = check_groups(&groups(ranges), 5).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let negative = ParameterGroup::new(0..1).with_weight_decay(-1.0);
        assert!(check_groups(&[negative], 1).is_err());
    }

    #[test]
    fn l2_is_half_the_squares() {
        let groups = [
            ParameterGroup::new(0..2).with_weight_decay(0.5),
            ParameterGroup::new(2..3),
            ParameterGroup::new(3..4).with_weight_decay(2.0).frozen(),
        ];
        let loss = l2_loss(&[1.0, 2.0, 9.0, 3.0], &groups).unwrap();
        assert_eq!(loss, 0.5 * 5.0 / 2.0 + 2.0 * 9.0 / 2.0);
        assert!(l2_loss(&[1.0], &groups).is_err());
    }
}
