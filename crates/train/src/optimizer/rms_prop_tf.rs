//! RMSProp in TensorFlow's form (`ApplyRMSProp`), as slim's recipes use it. It differs from
//! PyTorch's in three points: epsilon is inside the root, the mean square starts at 1, and the
//! learning rate is part of the momentum, so that a new learning rate acts on new gradients only.

use super::rule::{Rule, Slot, Value};

pub(super) struct RmsPropTf {
    learning_rate: f32,
    decay: f32,
    momentum: f32,
    epsilon: f32,
}

impl RmsPropTf {
    pub(super) fn new(learning_rate: f64, decay: f64, momentum: f64, epsilon: f64) -> Self {
        Self {
            learning_rate: learning_rate as f32,
            decay: decay as f32,
            momentum: momentum as f32,
            epsilon: epsilon as f32,
        }
    }
}

impl Rule<2> for RmsPropTf {
    const SLOTS: [Slot; 2] = [
        Slot {
            name: "mean_square",
            initial: 1.0,
        },
        Slot {
            name: "momentum",
            initial: 0.0,
        },
    ];

    #[inline(always)]
    fn update(&self, value: Value, [mean_square, momentum]: [f32; 2]) -> (f32, [f32; 2]) {
        let gradient = value.gradient_with_l2();
        let mean_square = mean_square + (gradient * gradient - mean_square) * (1.0 - self.decay);
        let update = self.learning_rate * gradient / (mean_square + self.epsilon).sqrt();
        let momentum = self.momentum * momentum + update;
        (value.weight - momentum, [mean_square, momentum])
    }
}
