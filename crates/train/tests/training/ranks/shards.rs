//! Tests steps that fall into shards: the bits do not depend on the number of ranks that compute
//! them, and with one shard a step is the same as without shards.

use crate::support::on_ranks;
use mobilenet_kernels::training::FakeQuantization;
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::{FlatLayout, MobileNetV1Config, TrainingPlan, TrainingPlanOptions};
use mobilenet_train::TrainError;
use mobilenet_train::loss::softmax_cross_entropy;
use mobilenet_train::moving_average::MovingAverageConfig;
use mobilenet_train::optimizer::{GradientClipping, Optimizer, OptimizerConfig};
use mobilenet_train::parallel::{Shares, Wire};
use mobilenet_train::quantization::Quantization;
use mobilenet_train::recipe::{Recipe, Target, Trainable};
use mobilenet_train::trainer::{State, Trainer};

const SIDE: usize = 32;
const CLASSES: usize = 5;
const STEPS: u64 = 4;

fn config() -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(CLASSES),
        ..MobileNetV1Config::with_width(0.25)
    }
}

fn recipe(batch_size: usize, shards: usize) -> Recipe {
    Recipe {
        batch_size,
        shards,
        resolution: SIDE,
        optimizer: OptimizerConfig::rms_prop_slim(),
        batch_norm_decay: 0.9,
        dropout_keep_prob: 0.8,
        moving_average: Some(MovingAverageConfig {
            decay: 0.9,
            ramp: true,
        }),
        clipping: Some(GradientClipping::GlobalNorm { limit: 1.0 }),
        target: Target::Labels {
            label_smoothing: 0.1,
        },
        ..Recipe::slim(STEPS)
    }
}

fn trainer(recipe: &Recipe) -> Trainer {
    trainer_of(&config(), recipe, 1)
}

fn trainer_of(config: &MobileNetV1Config, recipe: &Recipe, threads: usize) -> Trainer {
    let layout = FlatLayout::new(config).unwrap();
    let weights = layout.flatten(&initial_parameters(config, 3).unwrap());
    let state = State::new(recipe, &layout, weights.unwrap()).unwrap();
    Trainer::new(recipe.clone(), config, state, None, threads).unwrap()
}

/// Some images and labels of a step.
fn images(step: u64, range: std::ops::Range<usize>) -> (Vec<f32>, Vec<u32>) {
    let pixels = SIDE * SIDE * 3;
    let value = |at: usize| (at as f32 * 0.37 + step as f32).sin() * (at % 97) as f32 / 97.0;
    let images = (range.start * pixels..range.end * pixels).map(value);
    let labels = range.map(|image| ((step as usize + image) % CLASSES) as u32);
    (images.collect(), labels.collect())
}

/// The bits of all values of a trainer's state.
fn bits(trainer: &Trainer) -> Vec<u32> {
    let state = trainer.state();
    let average = state.average.as_ref().unwrap().values();
    let slots = state.optimizer.slots();
    let slots = slots.iter().flat_map(|(_, values)| values.iter());
    let ranges = state.ranges.iter().flat_map(|ranges| &ranges.biased);
    let values = state
        .weights
        .iter()
        .chain(average)
        .chain(slots)
        .chain(ranges);
    values.map(|value| value.to_bits()).collect()
}

/// Losses and bits of a training by some ranks, which must all have the same.
fn train(recipe: &Recipe, ranks: usize) -> (Vec<f64>, Vec<u32>) {
    train_of(&config(), recipe, ranks, 1)
}

fn train_of(
    config: &MobileNetV1Config,
    recipe: &Recipe,
    ranks: usize,
    threads: usize,
) -> (Vec<f64>, Vec<u32>) {
    let mut all = on_ranks(ranks, |rank| {
        let mut trainer = trainer_of(config, recipe, threads);
        let shares = Shares::new(recipe.shards, ranks).unwrap();
        let of_shard = recipe.batch_size / recipe.shards;
        let own = shares.of(rank.rank());
        let own = own.start * of_shard..own.end * of_shard;
        let step = |step| {
            let (images, labels) = images(step, own.clone());
            trainer.step_with(&images, &labels, rank).unwrap().loss
        };
        let losses: Vec<f64> = (0..STEPS).map(step).collect();
        (losses, bits(&trainer))
    });
    let first = all.swap_remove(0);
    assert!(all.iter().all(|other| *other == first), "{ranks} ranks");
    first
}

#[test]
fn the_number_of_ranks_does_not_change_a_bit() {
    for (shards, of_shard, ranks) in [(4, 2, &[2, 4][..]), (6, 2, &[3, 6]), (5, 2, &[5])] {
        let recipe = recipe(shards * of_shard, shards);
        let alone = train(&recipe, 1);
        for &ranks in ranks {
            assert!(
                train(&recipe, ranks) == alone,
                "{shards} shards, {ranks} ranks"
            );
        }
    }
}

/// A network of which several parts are on their way between ranks while others are computed.
#[test]
fn neither_in_a_wide_network() {
    let config = MobileNetV1Config {
        num_classes: Some(CLASSES),
        ..MobileNetV1Config::with_width(1.0)
    };
    let recipe = recipe(8, 4);
    let alone = train_of(&config, &recipe, 1, 1);
    for ranks in [2, 4] {
        assert!(
            train_of(&config, &recipe, ranks, 1) == alone,
            "{ranks} ranks"
        );
    }
}

#[test]
fn neither_with_threads() {
    let (config, recipe) = (config(), recipe(4, 2));
    let alone = train_of(&config, &recipe, 1, 2);
    assert!(train_of(&config, &recipe, 2, 2) == alone);
}

/// Rounded gradients are nearly the same, and running statistics are the same. A single rank sends
/// and rounds nothing.
#[test]
fn gradients_may_be_rounded_on_the_way() {
    // RMSProp would give a small gradient that is rounded the size of any other.
    let exact = Recipe {
        optimizer: OptimizerConfig::Sgd,
        ..recipe(8, 4)
    };
    let rounded = Recipe {
        wire: Wire::Bf16,
        ..exact.clone()
    };
    assert!(train(&rounded, 1) == train(&exact, 1));
    let start = trainer(&exact);
    let layout = start.layout();
    for ranks in [2, 4] {
        let [expected, found] = [&exact, &rounded].map(|recipe| {
            let all = on_ranks(ranks, |rank| {
                let mut trainer = trainer(recipe);
                let own = Shares::new(4, ranks).unwrap().of(rank.rank());
                let (images, labels) = images(0, own.start * 2..own.end * 2);
                trainer.step_with(&images, &labels, rank).unwrap();
                trainer.state().weights.clone()
            });
            assert!(all.iter().all(|weights| *weights == all[0]));
            all.into_iter().next().unwrap()
        });
        let distance = |a: &[f32], b: &[f32]| -> f64 {
            let pairs = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
            pairs.sum::<f64>().sqrt()
        };
        let (step, error) = (
            distance(&expected, &start.state().weights),
            distance(&expected, &found),
        );
        assert!(error > 0.0 && error < 0.01 * step, "{error} of {step}");
        for (parameter, range) in layout.entries() {
            if !parameter.is_trainable() {
                assert_eq!(found[range.clone()], expected[range.clone()]);
            }
        }
    }
}

#[test]
fn quantised_and_partly_frozen_steps_neither() {
    let quantized = Recipe {
        quantization: Some(Quantization {
            delay: 2,
            freeze_batch_norm_delay: Some(3),
            ..Quantization::default()
        }),
        ..recipe(12, 6)
    };
    let frozen = Recipe {
        trainable: Trainable::Scopes(vec!["Conv2d_13".into(), "Logits".into()]),
        ..recipe(12, 6)
    };
    for recipe in [quantized, frozen] {
        assert!(train(&recipe, 3) == train(&recipe, 1));
    }
}

/// Statistics that are frozen keep their bits, though a sixth of six times a number may not.
#[test]
fn frozen_statistics_stay() {
    let recipe = Recipe {
        frozen_batch_norm: true,
        ..recipe(12, 6)
    };
    let mut trainer = trainer(&recipe);
    let statistics = |trainer: &Trainer| -> Vec<f32> {
        let weights = &trainer.state().weights;
        let entries = trainer.layout().entries().iter();
        let frozen = entries.filter(|(parameter, _)| !parameter.is_trainable());
        frozen
            .flat_map(|(_, range)| weights[range.clone()].to_vec())
            .collect()
    };
    let before = statistics(&trainer);
    let (images, labels) = images(0, 0..12);
    trainer.step(&images, &labels).unwrap();
    assert!(statistics(&trainer) == before);
}

/// The step of before shards, written out: one plan for the whole batch, then the optimiser.
#[test]
fn one_shard_is_a_step_without_shards() {
    let recipe = Recipe {
        clipping: None,
        moving_average: None,
        dropout_keep_prob: 1.0,
        weight_decay: 0.0,
        ..recipe(4, 1)
    };
    let mut trainer = trainer(&recipe);
    let config = recipe.network(config());
    let options = TrainingPlanOptions {
        quantization: None::<FakeQuantization>,
        ..TrainingPlanOptions::new([SIDE; 2], 4, 1)
    };
    let mut plan = TrainingPlan::new(&config, &options).unwrap();
    let layout = FlatLayout::new(&config).unwrap();
    let mut weights = trainer.state().weights.clone();
    let groups = recipe.groups(&layout).unwrap();
    let mut optimizer = Optimizer::new(recipe.optimizer, layout.len(), groups).unwrap();
    for step in 0..STEPS {
        let (images, labels) = images(step, 0..4);
        let mut logits = vec![0.0; plan.logits_len()];
        let mut of_logits = logits.clone();
        let mut gradients = vec![0.0; weights.len()];
        let pass = plan.forward(&weights, &images, None, &mut logits).unwrap();
        softmax_cross_entropy(&logits, &labels, CLASSES, 0.1, &mut of_logits).unwrap();
        pass.backward(&of_logits, &mut gradients).unwrap();
        let rate = recipe.schedule.learning_rate(step);
        optimizer.step(&mut weights, &gradients, rate).unwrap();
        plan.update_running_statistics(&mut weights).unwrap();
        trainer.step(&images, &labels).unwrap();
        assert!(trainer.state().weights == weights, "step {step}");
    }
}

/// Shards have batch-norm statistics of their own, so they are more than a way to compute.
#[test]
fn shards_are_part_of_the_recipe() {
    assert!(train(&recipe(8, 2), 1).1 != train(&recipe(8, 4), 1).1);
    let error = recipe(8, 3);
    let layout = FlatLayout::new(&config()).unwrap();
    let error = State::new(&error, &layout, vec![0.0; layout.len()]).unwrap_err();
    assert!(error.to_string().contains("3 for batches of 8"), "{error}");
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut trainer = trainer(&recipe(4, 2));
    let before = bits(&trainer);
    let (images, labels) = images(0, 0..4);
    assert!(trainer.compute(&images[1..], &labels, 0).is_err());
    assert!(trainer.compute(&images, &labels[1..], 0).is_err());
    trainer.compute(&images, &labels, 0).unwrap();
    assert!(
        bits(&trainer) == before,
        "to compute alone changes no state"
    );
    assert!(trainer.apply(&[1.0]).is_err());
    let error = trainer.apply(&[1.0, f64::NAN]).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 0, .. }));
    trainer.share_mut().values.pop();
    assert!(trainer.apply(&[1.0, 1.0]).is_err());
    assert!(bits(&trainer) == before);
}
