//! RMSprop in PyTorch's form, not centred.

use super::rule::{Rule, Slot, Value};

pub(super) struct RmsPropTorch {
    learning_rate: f32,
    alpha: f32,
    /// `1 - alpha`, computed in f64 as in PyTorch.
    rest: f32,
    momentum: f32,
    epsilon: f32,
}

impl RmsPropTorch {
    pub(super) fn new(learning_rate: f64, alpha: f64, momentum: f64, epsilon: f64) -> Self {
        Self {
            learning_rate: learning_rate as f32,
            alpha: alpha as f32,
            rest: (1.0 - alpha) as f32,
            momentum: momentum as f32,
            epsilon: epsilon as f32,
        }
    }
}

impl Rule<2> for RmsPropTorch {
    const SLOTS: [Slot; 2] = [
        Slot {
            name: "mean_square",
            initial: 0.0,
        },
        Slot {
            name: "momentum",
            initial: 0.0,
        },
    ];

    #[inline(always)]
    fn update(&self, value: Value, [mean_square, momentum]: [f32; 2]) -> (f32, [f32; 2]) {
        let gradient = value.gradient_with_l2();
        let mean_square = self.alpha * mean_square + self.rest * gradient * gradient;
        let momentum = self.momentum * momentum + gradient / (mean_square.sqrt() + self.epsilon);
        (
            value.weight - self.learning_rate * momentum,
            [mean_square, momentum],
        )
    }
}
