//! AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization") in PyTorch's form.

use super::rule::{Rule, Slot, Value};

pub(super) struct AdamW {
    learning_rate: f32,
    beta1: f32,
    beta2: f32,
    /// 1 minus each beta, computed in f64: in f32, 1 - 0.999 would lose four digits.
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    /// Learning rate divided by the correction of the first moment.
    step_size: f32,
    /// 1 divided by the root of the correction of the second moment.
    root_scale: f32,
}

impl AdamW {
    /// The rule of step `step`, counted from 1.
    pub(super) fn new(learning_rate: f64, betas: [f64; 2], epsilon: f64, step: u64) -> Self {
        let [first, second] = betas.map(|beta| 1.0 - beta.powf(step as f64));
        let [beta1, beta2] = betas;
        Self {
            learning_rate: learning_rate as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rest1: (1.0 - beta1) as f32,
            rest2: (1.0 - beta2) as f32,
            epsilon: epsilon as f32,
            step_size: (learning_rate / first) as f32,
            root_scale: (1.0 / second.sqrt()) as f32,
        }
    }
}

impl Rule<2> for AdamW {
    const SLOTS: [Slot; 2] = [
        Slot {
            name: "first_moment",
            initial: 0.0,
        },
        Slot {
            name: "second_moment",
            initial: 0.0,
        },
    ];

    #[inline(always)]
    fn update(&self, value: Value, [first, second]: [f32; 2]) -> (f32, [f32; 2]) {
        let gradient = value.gradient;
        let first = self.beta1 * first + self.rest1 * gradient;
        let second = self.beta2 * second + self.rest2 * gradient * gradient;
        let decayed = value.weight * (1.0 - self.learning_rate * value.weight_decay);
        let root = second.sqrt() * self.root_scale + self.epsilon;
        (decayed - self.step_size * first / root, [first, second])
    }
}
