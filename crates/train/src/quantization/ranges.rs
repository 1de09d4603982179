//! The ranges of the activations that a training learns.

use mobilenet_kernels::training::{MovingRanges, debiased};

use crate::layout::ParameterLayout;

/// Moving ranges of all activations, and of the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationRanges {
    /// Number of steps in them. It is also the counter of the delays, which a training counts
    /// apart from its steps: it begins with 0 when trained weights are fine-tuned.
    pub steps: u64,
    /// Two averages of each, which began with 0; see
    /// [`MovingRanges`](mobilenet_kernels::training::MovingRanges).
    pub biased: Vec<f32>,
}

impl ActivationRanges {
    /// Before the first step.
    pub fn new(layout: &dyn ParameterLayout) -> Self {
        Self {
            steps: 0,
            biased: vec![0.0; 2 * layout.activations()],
        }
    }

    /// The smallest and the largest value of each activation.
    pub fn ranges(&self) -> Vec<[f32; 2]> {
        let (averages, _) = self.biased.as_chunks::<2>();
        let range = |averages: &[f32; 2]| debiased(*averages, self.steps);
        averages.iter().map(range).collect()
    }

    /// For a step of training, or for evaluation.
    pub(crate) fn moving(&self) -> MovingRanges<'_> {
        MovingRanges {
            biased: &self.biased,
            steps: self.steps,
        }
    }
}
