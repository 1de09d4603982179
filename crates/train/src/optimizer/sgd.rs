//! Gradient descent: TensorFlow's `GradientDescentOptimizer`.

use super::rule::{Rule, Slot, Value};

pub(super) struct Sgd {
    learning_rate: f32,
}

impl Sgd {
    pub(super) fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate: learning_rate as f32,
        }
    }
}

impl Rule<0> for Sgd {
    const SLOTS: [Slot; 0] = [];

    #[inline(always)]
    fn update(&self, value: Value, _: [f32; 0]) -> (f32, [f32; 0]) {
        (
            value.weight - self.learning_rate * value.gradient_with_l2(),
            [],
        )
    }
}
