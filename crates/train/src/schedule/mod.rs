//! Learning rates over steps.

mod cosine;
mod exponential_decay;
mod polynomial_decay;

pub use cosine::Cosine;
pub use exponential_decay::ExponentialDecay;
pub use polynomial_decay::PolynomialDecay;

use serde::{Deserialize, Serialize};

/// A learning rate for each step, as a recipe states it.
///
/// ```
/// use mobilenet_train::schedule::{ExponentialDecay, Schedule};
///
/// let schedule = Schedule::Exponential(ExponentialDecay::slim(64));
/// assert_eq!(schedule.learning_rate(0), 0.045);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Schedule {
    /// One rate for all steps.
    Constant {
        /// The rate.
        learning_rate: f64,
    },
    /// Multiplied by a factor at fixed intervals: slim's default.
    Exponential(ExponentialDecay),
    /// Falls as a power of the remaining steps: slim's `polynomial`.
    Polynomial(PolynomialDecay),
    /// Rises linearly, then falls along half a cosine.
    Cosine(Cosine),
}

impl Schedule {
    /// Rate of a step, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        match self {
            Self::Constant { learning_rate } => *learning_rate,
            Self::Exponential(decay) => decay.learning_rate(step),
            Self::Polynomial(decay) => decay.learning_rate(step),
            Self::Cosine(cosine) => cosine.learning_rate(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_states_it() {
        let schedules = [
            (
                Schedule::Constant { learning_rate: 0.1 },
                r#"{"name":"constant","learning_rate":0.1}"#,
            ),
            (
                Schedule::Exponential(ExponentialDecay::slim(64)),
                r#"{"name":"exponential","initial":0.045,"factor":0.94,"steps":49654}"#,
            ),
            (
                Schedule::Cosine(Cosine {
                    initial: 0.2,
                    warm_up_steps: 10,
                    total_steps: 100,
                    end: 0.0,
                }),
                r#"{"name":"cosine","initial":0.2,"warm_up_steps":10,"total_steps":100,"end":0.0}"#,
            ),
        ];
        for (schedule, text) in schedules {
            assert_eq!(serde_json::to_string(&schedule).unwrap(), text);
            assert_eq!(serde_json::from_str::<Schedule>(text).unwrap(), schedule);
        }
    }
}
