//! Optimisers over one flat slice of weights. The formulas are those of TensorFlow and PyTorch, one
//! file each. They are elementwise, so results do not depend on the number of threads.

mod adam_w;
mod config;
mod gradient_clipping;
mod momentum;
mod parameter_group;
mod rms_prop_tf;
mod rms_prop_torch;
mod rule;
mod sgd;
mod sum_of_squares;

pub use config::OptimizerConfig;
pub use gradient_clipping::{GradientClipping, global_norm};
pub use parameter_group::{ParameterGroup, l2_loss};

use crate::error::TrainError;
use adam_w::AdamW;
use momentum::Momentum;
use parameter_group::check_groups;
use rms_prop_tf::RmsPropTf;
use rms_prop_torch::RmsPropTorch;
use rule::{Piece, Rule, Slot, pieces, update};
use sgd::Sgd;

/// An optimiser with its state: the step count and the slots, each as long as the weights.
///
/// ```
/// use mobilenet_train::optimizer::{Optimizer, OptimizerConfig, ParameterGroup};
///
/// let groups = vec![ParameterGroup::new(0..2).with_weight_decay(4e-5)];
/// let mut optimizer = Optimizer::new(OptimizerConfig::rms_prop_slim(), 2, groups)?;
/// let mut weights = [1.0, -1.0];
/// optimizer.step(&mut weights, &[0.5, 0.25], 0.045)?;
/// assert!(weights[0] < 1.0);
/// # Ok::<(), mobilenet_train::TrainError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    groups: Vec<ParameterGroup>,
    pieces: Vec<Piece>,
    values: usize,
    slots: Vec<(Slot, Vec<f32>)>,
    steps: u64,
}

impl Optimizer {
    /// An optimiser of `values` weights, before the first step.
    ///
    /// # Errors
    /// If a setting is out of range, or the groups do not cover `0..values` in order.
    pub fn new(
        config: OptimizerConfig,
        values: usize,
        groups: Vec<ParameterGroup>,
    ) -> Result<Self, TrainError> {
        config.check()?;
        check_groups(&groups, values)?;
        let slots = config.slots().iter();
        Ok(Self {
            pieces: pieces(&groups),
            slots: slots
                .map(|slot| (*slot, vec![slot.initial; values]))
                .collect(),
            config,
            groups,
            values,
            steps: 0,
        })
    }

    /// Does one step on the current rayon pool. It changes the weights of trainable groups and
    /// their slots. Returns the [`l2_loss`] of the weights before the step.
    ///
    /// # Errors
    /// If a slice has another length than given to [`Self::new`]. Nothing is changed then.
    pub fn step(
        &mut self,
        weights: &mut [f32],
        gradients: &[f32],
        learning_rate: f64,
    ) -> Result<f64, TrainError> {
        TrainError::check_length("weights", self.values, weights.len())?;
        TrainError::check_length("gradients", self.values, gradients.len())?;
        self.steps += 1;
        let squares = match self.config {
            OptimizerConfig::Sgd => self.run(&Sgd::new(learning_rate), weights, gradients),
            OptimizerConfig::Momentum { momentum, nesterov } => {
                let rule = Momentum::new(learning_rate, momentum, nesterov);
                self.run(&rule, weights, gradients)
            }
            OptimizerConfig::RmsPropTf {
                decay,
                momentum,
                epsilon,
            } => {
                let rule = RmsPropTf::new(learning_rate, decay, momentum, epsilon);
                self.run(&rule, weights, gradients)
            }
            OptimizerConfig::RmsPropTorch {
                alpha,
                momentum,
                epsilon,
            } => {
                let rule = RmsPropTorch::new(learning_rate, alpha, momentum, epsilon);
                self.run(&rule, weights, gradients)
            }
            OptimizerConfig::AdamW {
                beta1,
                beta2,
                epsilon,
            } => {
                let rule = AdamW::new(learning_rate, [beta1, beta2], epsilon, self.steps);
                self.run(&rule, weights, gradients)
            }
        };
        let mut of_groups = vec![0.0; self.groups.len()];
        for (piece, squares) in self.pieces.iter().zip(squares) {
            of_groups[piece.group] += squares;
        }
        let groups = self.groups.iter().zip(of_groups);
        Ok(groups.map(|(group, squares)| group.l2(squares)).sum())
    }

    fn run<const SLOTS: usize, R: Rule<SLOTS>>(
        &mut self,
        rule: &R,
        weights: &mut [f32],
        gradients: &[f32],
    ) -> Vec<f64> {
        let mut slots = self
            .slots
            .iter_mut()
            .map(|(_, values)| values.as_mut_slice());
        let slots = std::array::from_fn(|_| slots.next().expect("a slot for each of R::SLOTS"));
        update(rule, &self.pieces, weights, gradients, slots)
    }

    /// The settings of the optimiser.
    pub fn config(&self) -> OptimizerConfig {
        self.config
    }

    /// The groups of its weights.
    pub fn groups(&self) -> &[ParameterGroup] {
        &self.groups
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// State to store with [`Self::steps`]: slots by name, each as long as the weights.
    pub fn slots(&self) -> Vec<(&'static str, &[f32])> {
        let slots = self.slots.iter();
        slots
            .map(|(slot, values)| (slot.name, values.as_slice()))
            .collect()
    }

    /// Continues from stored state. The slots may have any order.
    ///
    /// # Errors
    /// If the slots are not those of this optimiser, or have another length. Nothing is changed
    /// then.
    pub fn restore(
        &mut self,
        steps: u64,
        mut stored: Vec<(String, Vec<f32>)>,
    ) -> Result<(), TrainError> {
        stored.sort_by_key(|(name, _)| {
            let mut slots = self.slots.iter();
            slots.position(|(slot, _)| slot.name == name)
        });
        let found = stored.iter().map(|(name, _)| name.as_str());
        if !found.eq(self.slots.iter().map(|(slot, _)| slot.name)) {
            return Err(TrainError::Slots {
                expected: self.slots.iter().map(|(slot, _)| slot.name).collect(),
                found: stored.into_iter().map(|(name, _)| name).collect(),
            });
        }
        for (name, values) in &stored {
            TrainError::check_length(&format!("slot {name}"), self.values, values.len())?;
        }
        for ((_, slot), (_, values)) in self.slots.iter_mut().zip(stored) {
            *slot = values;
        }
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn optimizer() -> Optimizer {
        let groups = vec![
            ParameterGroup::new(0..2).frozen(),
            ParameterGroup::new(2..5).with_weight_decay(0.1),
        ];
        Optimizer::new(OptimizerConfig::rms_prop_slim(), 5, groups).unwrap()
    }

    #[test]
    fn frozen_weights_and_their_slots_stay() {
        let mut optimizer = optimizer();
        let mut weights = [1.0; 5];
        optimizer.step(&mut weights, &[1.0; 5], 0.1).unwrap();
        assert_eq!(weights[..2], [1.0; 2]);
        assert!(weights[2..].iter().all(|&weight| weight < 1.0));
        for (name, slot) in optimizer.slots() {
            let initial = if name == "mean_square" { 1.0 } else { 0.0 };
            assert_eq!(slot[..2], [initial; 2], "{name}");
            assert!(slot[2..].iter().all(|&value| value != initial), "{name}");
        }
    }

    #[test]
    fn a_step_returns_the_l2_loss_of_the_weights_before_it() {
        const LENGTH: usize = 50_000;
        let groups = vec![
            ParameterGroup::new(0..20_000).with_weight_decay(0.3),
            ParameterGroup::new(20_000..20_010),
            ParameterGroup::new(20_010..40_000)
                .with_weight_decay(0.7)
                .frozen(),
            ParameterGroup::new(40_000..LENGTH).with_weight_decay(0.1),
        ];
        let mut optimizer = Optimizer::new(OptimizerConfig::Sgd, LENGTH, groups).unwrap();
        let mut weights: Vec<f32> = (0..LENGTH).map(|i| (i as f32 * 0.37).sin()).collect();
        let expected = l2_loss(&weights, optimizer.groups()).unwrap();
        let gradients = vec![1.0; LENGTH];
        let found = optimizer.step(&mut weights, &gradients, 0.1).unwrap();
        assert_eq!(found, expected);
        assert_ne!(l2_loss(&weights, optimizer.groups()).unwrap(), expected);
    }

    #[test]
    fn restored_state_goes_on_alike() {
        let mut first = optimizer();
        let mut weights = [0.5, -1.0, 2.0, -0.25, 1.0];
        let gradients = [0.3, -0.2, 0.1, 4.0, -5.0];
        first.step(&mut weights, &gradients, 0.1).unwrap();

        let mut second = optimizer();
        let mut stored: Vec<_> = first
            .slots()
            .into_iter()
            .map(|(name, values)| (name.to_string(), values.to_vec()))
            .collect();
        stored.reverse();
        second.restore(first.steps(), stored).unwrap();

        let mut others = weights;
        first.step(&mut weights, &gradients, 0.1).unwrap();
        second.step(&mut others, &gradients, 0.1).unwrap();
        assert_eq!(weights, others);
        assert_eq!(first.slots(), second.slots());
        assert_eq!(second.steps(), 2);
    }

    #[test]
    fn foreign_state_is_refused_and_changes_nothing() {
        let mut optimizer = optimizer();
        let slot = |name: &str, values: usize| (name.to_string(), vec![7.0; values]);
        for stored in [
            vec![],
            vec![slot("momentum", 5)],
            vec![slot("momentum", 5), slot("first_moment", 5)],
            vec![slot("momentum", 5), slot("momentum", 5)],
        ] {
            let error = optimizer.restore(3, stored).unwrap_err();
            assert!(matches!(error, TrainError::Slots { .. }), "{error}");
        }
        let error = optimizer
            .restore(3, vec![slot("momentum", 4), slot("mean_square", 5)])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected 5 values of slot momentum, found 4"
        );
        assert_eq!(optimizer.steps(), 0);
        assert!(
            optimizer
                .slots()
                .iter()
                .all(|(_, values)| !values.contains(&7.0))
        );
    }

    #[test]
    fn slices_of_another_length_are_refused() {
        let mut optimizer = optimizer();
        assert!(optimizer.step(&mut [0.0; 4], &[0.0; 5], 0.1).is_err());
        assert!(optimizer.step(&mut [0.0; 5], &[0.0; 6], 0.1).is_err());
        assert_eq!(optimizer.steps(), 0);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let values = 200_003;
        let groups = vec![
            ParameterGroup::new(0..70_001).with_weight_decay(4e-5),
            ParameterGroup::new(70_001..values),
        ];
        let noise = |seed: u32, index: usize| {
            let bits = (index as u32 ^ seed).wrapping_mul(2_654_435_761) >> 8;
            bits as f32 / (1 << 23) as f32 - 1.0
        };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let config = OptimizerConfig::adam_w();
                let mut optimizer = Optimizer::new(config, values, groups.clone()).unwrap();
                let mut weights: Vec<f32> = (0..values).map(|i| noise(1, i)).collect();
                for step in 0..3 {
                    let gradients: Vec<f32> = (0..values).map(|i| noise(2 + step, i)).collect();
                    optimizer.step(&mut weights, &gradients, 1e-3).unwrap();
                }
                weights
            })
        };
        assert_eq!(run(1), run(3));
    }
}
