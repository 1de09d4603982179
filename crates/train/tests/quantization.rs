//! Tests of training for integers: what is evaluated is what the integers compute, a resumed
//! training ends with the same bits, and the delays are kept.

use mobilenet_model::checkpoint::Metadata;
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::quantized::{Arithmetic, Freeze, IntegerImages, IntegerOutput, ValueKind};
use mobilenet_model::{
    FlatLayout, IntegerPlan, IntegerPlanOptions, IntegerPlanOutput, MobileNetV1Config,
    QuantizedWeights,
};
use mobilenet_train::checkpoint::Checkpoints;
use mobilenet_train::quantization::{FakeQuantizedNetwork, Quantization, Scheme};
use mobilenet_train::recipe::Recipe;
use mobilenet_train::schedule::Schedule;
use mobilenet_train::trainer::{State, Trainer};

const BATCH: usize = 8;
const SIDE: usize = 48;
const CLASSES: usize = 5;

fn config() -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(CLASSES),
        ..MobileNetV1Config::with_width(0.25)
    }
}

fn recipe(quantization: Option<Quantization>) -> Recipe {
    Recipe {
        batch_size: BATCH,
        resolution: SIDE,
        batch_norm_decay: 0.8,
        schedule: Schedule::Constant {
            learning_rate: 0.02,
        },
        quantization,
        ..Recipe::slim(100)
    }
}

fn state(recipe: &Recipe) -> State {
    let layout = FlatLayout::new(&config()).unwrap();
    let weights = layout.flatten(&initial_parameters(&config(), 3).unwrap());
    State::new(recipe, &layout, weights.unwrap()).unwrap()
}

fn trainer(recipe: &Recipe, state: State) -> Trainer {
    Trainer::new(recipe.clone(), &config(), state, None, 2).unwrap()
}

/// Photos of stripes, whose width tells the class, on the levels of 8-bit pixels.
fn batch(step: u64) -> (Vec<f32>, Vec<u32>) {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for image in 0..BATCH as u64 {
        let label = (step * 3 + image) % CLASSES as u64;
        let phase = (step * 7 + image * 5) as f32;
        for y in 0..SIDE {
            for x in 0..SIDE * 3 {
                let angle = (x / 3) as f32 * (0.2 + 0.25 * label as f32) + phase;
                let noise = ((y * 37 + x * 11) as f32 + phase).sin();
                let pixel = 128.0 + 90.0 * angle.sin() + 30.0 * noise;
                images.push((pixel.round() - 128.0) / 128.0);
            }
        }
        labels.push(label as u32);
    }
    (images, labels)
}

fn steps(trainer: &mut Trainer, range: std::ops::Range<u64>) -> Vec<f64> {
    let step = |step| {
        let (images, labels) = batch(step);
        trainer.step(&images, &labels).unwrap().loss
    };
    range.map(step).collect()
}

/// The integers' logits of some images, and their scale.
fn integer_logits(state: &State, scheme: Scheme, images: &[f32]) -> (Vec<f32>, f32) {
    let freeze = Freeze {
        config: &config(),
        weights: &state.weights,
        ranges: &state.ranges.as_ref().unwrap().ranges(),
        scheme: scheme.into(),
        size: [SIDE; 2],
    };
    let weights = QuantizedWeights::new(freeze.network().unwrap(), Arithmetic::default()).unwrap();
    let options = IntegerPlanOptions {
        output: IntegerPlanOutput::Logits,
        ..IntegerPlanOptions::new(&weights, 1)
    };
    let mut plan = IntegerPlan::new(&weights, &options).unwrap();
    let mut logits = vec![0.0; images.len() / (SIDE * SIDE * 3) * CLASSES];
    plan.run(&IntegerImages::F32(images), IntegerOutput::F32(&mut logits))
        .unwrap();
    let ValueKind::Quantized(meaning) = plan.output() else {
        panic!("logits are integers");
    };
    (logits, meaning.scale)
}

#[test]
fn integers_compute_what_training_evaluates() {
    for scheme in [Scheme::PerTensor, Scheme::PerChannel] {
        let quantization = Quantization {
            scheme,
            ..Quantization::default()
        };
        let recipe = recipe(Some(quantization));
        let mut trainer = trainer(&recipe, state(&recipe));
        let losses = steps(&mut trainer, 0..40);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..5]), mean(&losses[35..]));
        assert!(last < 0.7 * first, "{scheme:?}: loss {first} to {last}");

        let state = trainer.state();
        let ranges = state.ranges.clone().unwrap();
        let mut network = FakeQuantizedNetwork::new(
            &config(),
            state.weights.clone(),
            ranges,
            scheme,
            [SIDE; 2],
            5,
            2,
        )
        .unwrap();
        // More images than the network's batch, and not a multiple of it.
        let images = [batch(50).0, batch(51).0].concat();
        let mut logits = vec![0.0; 2 * BATCH * CLASSES];
        network.run(&images, &mut logits).unwrap();
        let (integers, step) = integer_logits(state, scheme, &images);
        let distances = logits
            .iter()
            .zip(&integers)
            .map(|(a, b)| (a - b).abs() / step);
        let largest = distances.fold(0.0, f32::max);
        println!("{scheme:?}: integers differ by at most {largest} steps of {step}");
        assert!(largest < 1.01, "{scheme:?}: {largest} steps");
        // The logits are not all the same.
        let spread = |values: &[f32]| {
            let most = values.iter().fold(f32::MIN, |a, &b| a.max(b));
            most - values.iter().fold(f32::MAX, |a, &b| a.min(b))
        };
        assert!(spread(&integers) > 20.0 * step);
    }
}

/// The bits of everything that changes.
fn bits(trainer: &Trainer) -> Vec<u32> {
    let state = trainer.state();
    let ranges = state.ranges.as_ref().unwrap();
    let values = state.weights.iter().chain(&ranges.biased);
    let bits = values.map(|value| value.to_bits());
    bits.chain([ranges.steps as u32, state.step as u32])
        .collect()
}

#[test]
fn a_resumed_training_ends_with_the_same_bits() {
    let recipe = recipe(Some(Quantization {
        delay: 3,
        freeze_batch_norm_delay: Some(6),
        ..Quantization::default()
    }));
    let mut whole = trainer(&recipe, state(&recipe));
    steps(&mut whole, 0..8);
    for stop in [1, 2, 5, 7] {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().to_path_buf(), 1);
        let metadata = Metadata::new(Preprocessing::slim(SIDE));
        let mut first = trainer(&recipe, state(&recipe));
        steps(&mut first, 0..stop);
        let layout = first.layout().clone();
        checkpoints
            .save(first.state(), &recipe, &layout, &metadata)
            .unwrap();
        let (restored, problems) = checkpoints.newest(&recipe, &layout).unwrap();
        assert!(problems.is_empty());
        let mut second = trainer(&recipe, restored.unwrap());
        assert!(bits(&first) == bits(&second), "stopped after {stop}");
        steps(&mut second, stop..8);
        assert!(bits(&second) == bits(&whole), "stopped after {stop}");
        let plain = Recipe {
            quantization: None,
            ..recipe.clone()
        };
        let problem = checkpoints.newest(&plain, &layout).unwrap_err().to_string();
        assert!(problem.contains("quantization was {"), "{problem}");
    }
}

#[test]
fn delays_are_kept() {
    let plain = recipe(None);
    let delayed = recipe(Some(Quantization {
        delay: 4,
        freeze_batch_norm_delay: Some(6),
        ..Quantization::default()
    }));
    let mut plain = trainer(&plain, state(&plain));
    let mut delayed = trainer(&delayed, state(&delayed));
    // Steps 1 to 3 only measure.
    assert_eq!(steps(&mut plain, 0..3), steps(&mut delayed, 0..3));
    assert_ne!(steps(&mut plain, 3..4), steps(&mut delayed, 3..4));
    steps(&mut delayed, 4..5);
    let statistics = |trainer: &Trainer| -> Vec<f32> {
        let weights = &trainer.state().weights;
        let entries = trainer.layout().entries().iter();
        let entries = entries.filter(|(parameter, _)| !parameter.is_trainable());
        entries
            .flat_map(|(_, range)| weights[range.clone()].to_vec())
            .collect()
    };
    let (before, weights) = (statistics(&delayed), delayed.state().weights.clone());
    steps(&mut delayed, 5..7);
    assert_eq!(statistics(&delayed), before);
    assert_ne!(delayed.state().weights, weights);
}
