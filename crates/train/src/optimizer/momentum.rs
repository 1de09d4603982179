//! Gradient descent with momentum: TensorFlow's `MomentumOptimizer`. PyTorch's `SGD` without
//! dampening is the same.

use super::rule::{Rule, Slot, Value};

pub(super) struct Momentum {
    learning_rate: f32,
    momentum: f32,
    /// Shares of the gradient and of the momentum in an update.
    mixture: [f32; 2],
}

impl Momentum {
    pub(super) fn new(learning_rate: f64, momentum: f64, nesterov: bool) -> Self {
        let momentum = momentum as f32;
        Self {
            learning_rate: learning_rate as f32,
            momentum,
            mixture: if nesterov {
                [1.0, momentum]
            } else {
                [0.0, 1.0]
            },
        }
    }
}

impl Rule<1> for Momentum {
    const SLOTS: [Slot; 1] = [Slot {
        name: "momentum",
        initial: 0.0,
    }];

    #[inline(always)]
    fn update(&self, value: Value, [momentum]: [f32; 1]) -> (f32, [f32; 1]) {
        let gradient = value.gradient_with_l2();
        let momentum = self.momentum * momentum + gradient;
        let [of_gradient, of_momentum] = self.mixture;
        let update = of_gradient * gradient + of_momentum * momentum;
        (value.weight - self.learning_rate * update, [momentum])
    }
}
