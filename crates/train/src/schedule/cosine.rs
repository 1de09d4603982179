//! Cosine annealing (Loshchilov and Hutter, "SGDR") without restarts, after a linear warm-up.

use serde::{Deserialize, Serialize};

/// Step `s` of the warm-up has the rate `initial * (s + 1) / warm_up_steps`, so no step has rate 0.
/// Then, until `total_steps`, the rate falls along half a cosine to `end`, as PyTorch's
/// `CosineAnnealingLR` with `T_max = total_steps - warm_up_steps`. After that it stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cosine {
    /// Highest rate: that of the first step after the warm-up.
    pub initial: f64,
    /// Steps of the warm-up. 0: no warm-up.
    pub warm_up_steps: u64,
    /// Steps of the whole training, including the warm-up.
    pub total_steps: u64,
    /// Rate at the end.
    pub end: f64,
}

impl Cosine {
    /// Rate of a step, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step < self.warm_up_steps {
            return self.initial * (step + 1) as f64 / self.warm_up_steps as f64;
        }
        if step >= self.total_steps {
            return self.end;
        }
        let done = (step - self.warm_up_steps) as f64;
        let angle = std::f64::consts::PI * done / (self.total_steps - self.warm_up_steps) as f64;
        self.end + (self.initial - self.end) * (1.0 + angle.cos()) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_along_a_line() {
        let cosine = Cosine {
            initial: 0.2,
            warm_up_steps: 4,
            total_steps: 14,
            end: 0.01,
        };
        let rates: Vec<f64> = (0..5).map(|step| cosine.learning_rate(step)).collect();
        for (rate, expected) in rates.iter().zip([0.05, 0.1, 0.15, 0.2, 0.2]) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
        assert!((cosine.learning_rate(9) - 0.105).abs() < 1e-12);
        assert_eq!(cosine.learning_rate(14), 0.01);
        assert_eq!(cosine.learning_rate(u64::MAX), 0.01);
    }

    #[test]
    fn nothing_but_a_warm_up_is_no_division_by_zero() {
        let cosine = Cosine {
            initial: 0.2,
            warm_up_steps: 4,
            total_steps: 4,
            end: 0.0,
        };
        assert_eq!(cosine.learning_rate(3), 0.2);
        assert_eq!(cosine.learning_rate(4), 0.0);
    }
}
