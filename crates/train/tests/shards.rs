//! Tests steps whose batch is computed in shards. Every shard's trainer must make the same update.
//! With one shard, a step must be the same as without shards.

use std::sync::mpsc::{Receiver, Sender, channel};

use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::{FlatLayout, MobileNetV1Config};
use mobilenet_train::moving_average::MovingAverageConfig;
use mobilenet_train::optimizer::{GradientClipping, OptimizerConfig};
use mobilenet_train::recipe::Recipe;
use mobilenet_train::trainer::{Alone, Contribution, Reduce, State, Trainer};
use mobilenet_train::{TrainError, recipe::Target};

const BATCH: usize = 2;
const SIDE: usize = 32;
const CLASSES: usize = 5;
const STEPS: u64 = 4;

fn trainer() -> Trainer {
    let config = MobileNetV1Config {
        num_classes: Some(CLASSES),
        ..MobileNetV1Config::with_width(0.25)
    };
    let recipe = Recipe {
        batch_size: BATCH,
        resolution: SIDE,
        optimizer: OptimizerConfig::rms_prop_slim(),
        batch_norm_decay: 0.9,
        moving_average: Some(MovingAverageConfig {
            decay: 0.9,
            ramp: true,
        }),
        clipping: Some(GradientClipping::GlobalNorm { limit: 1.0 }),
        target: Target::Labels {
            label_smoothing: 0.1,
        },
        ..Recipe::slim(STEPS)
    };
    let layout = FlatLayout::new(&config).unwrap();
    let weights = layout.flatten(&initial_parameters(&config, 3).unwrap());
    let state = State::new(&recipe, &layout, weights.unwrap()).unwrap();
    Trainer::new(recipe, &config, state, None, 1).unwrap()
}

/// Images and labels of one shard of a step.
fn shard(step: u64, shard: u64) -> (Vec<f32>, Vec<u32>) {
    let seed = (step * 7 + shard) as f32;
    let value = |index: usize| (index as f32 * 0.37 + seed).sin();
    let images = (0..BATCH * SIDE * SIDE * 3).map(value).collect();
    let labels = (0..BATCH as u64).map(|image| ((step + shard + image) % CLASSES as u64) as u32);
    (images, labels.collect())
}

fn mean(first: &Contribution, second: &Contribution) -> Contribution {
    let pairs = first.values.iter().zip(&second.values);
    Contribution {
        values: pairs.map(|(a, b)| (a + b) / 2.0).collect(),
        loss: (first.loss + second.loss) / 2.0,
    }
}

/// The bits of all values of a trainer's state.
fn bits(trainer: &Trainer) -> Vec<u32> {
    let state = trainer.state();
    let average = state.average.as_ref().unwrap().values();
    let slots = state.optimizer.slots();
    let slots = slots.iter().flat_map(|(_, values)| values.iter());
    let values = state.weights.iter().chain(average).chain(slots);
    values.map(|value| value.to_bits()).collect()
}

/// One of two trainers that send their contributions to each other.
struct Pair {
    first: bool,
    to: Sender<Contribution>,
    from: Receiver<Contribution>,
}

impl Reduce for Pair {
    fn mean(&mut self, contribution: &mut Contribution) -> Result<(), TrainError> {
        self.to.send(contribution.clone()).unwrap();
        let other = self.from.recv().unwrap();
        *contribution = if self.first {
            mean(contribution, &other)
        } else {
            mean(&other, contribution)
        };
        Ok(())
    }
}

#[test]
fn shards_apart_give_the_bits_of_shards_in_a_row() {
    let mut single = trainer();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let [first, second] = [0, 1].map(|number| {
            let (images, labels) = shard(step, number);
            let mut contribution = Contribution::default();
            let trainer = &mut single;
            trainer
                .gradients(&images, &labels, &mut contribution)
                .unwrap();
            contribution
        });
        losses.push(single.apply(&mut mean(&first, &second)).unwrap().loss);
    }
    let ((to_first, from_second), (to_second, from_first)) = (channel(), channel());
    let run = |number: u64, to, from| {
        move || {
            let mut trainer = trainer();
            let first = number == 0;
            let mut pair = Pair { first, to, from };
            let steps = (0..STEPS).map(|step| {
                let (images, labels) = shard(step, number);
                trainer.step_with(&images, &labels, &mut pair).unwrap().loss
            });
            let losses: Vec<f64> = steps.collect();
            (losses, bits(&trainer))
        }
    };
    let first = std::thread::spawn(run(0, to_second, from_second));
    let second = std::thread::spawn(run(1, to_first, from_first));
    let expected = (losses, bits(&single));
    assert!(first.join().unwrap() == expected);
    assert!(second.join().unwrap() == expected);
}

#[test]
fn equal_shards_are_one() {
    let (mut alone, mut halves) = (trainer(), trainer());
    for step in 0..STEPS {
        let (images, labels) = shard(step, 0);
        let outcome = alone.step_with(&images, &labels, &mut Alone).unwrap();
        let mut half = Contribution::default();
        halves.gradients(&images, &labels, &mut half).unwrap();
        assert_eq!(halves.apply(&mut mean(&half, &half)).unwrap(), outcome);
    }
    assert!(bits(&alone) == bits(&halves));
}

#[test]
fn a_contribution_that_does_not_fit_changes_nothing() {
    let mut trainer = trainer();
    let before = bits(&trainer);
    let mut short = Contribution::default();
    assert!(trainer.apply(&mut short).is_err());
    let (images, labels) = shard(0, 0);
    let mut diverged = Contribution::default();
    trainer.gradients(&images, &labels, &mut diverged).unwrap();
    assert!(bits(&trainer) == before, "gradients alone change no state");
    diverged.loss = f64::NAN;
    let error = trainer.apply(&mut diverged).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 0, .. }));
    assert!(bits(&trainer) == before);
}
