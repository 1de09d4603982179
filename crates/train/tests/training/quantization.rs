//! Tests of training for integers: what is evaluated is what the integers compute, a resumed
//! training ends with the same bits, and the delays are kept. And of training for a compressed file.

use std::path::Path;

use mobilenet_compress::codes::{CompressOptions, Method};
use mobilenet_model::architecture::{LayerName, Part};
use mobilenet_model::checkpoint::{
    self, Checkpoint, Levels, Metadata, ReadLimits, save_compressed,
};
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::quantized::{
    Arithmetic, Freeze, IntegerImages, IntegerOutput, PIXEL, ValueKind,
};
use mobilenet_model::{
    FlatLayout, InferencePlan, IntegerPlan, IntegerPlanOptions, IntegerPlanOutput,
    MobileNetV1Config, Normalizer, PlanOptions, PlanWeights, QuantizedWeights, TrainingPlan,
    TrainingPlanOptions,
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

/// The trained network of Fashion-MNIST that the facade embeds.
fn embedded() -> Checkpoint {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mobilenet/weights");
    let path = weights.join("fashion_mnist_0.25_96.safetensors");
    checkpoint::load(&path, ReadLimits::default()).unwrap()
}

/// The embedded network as training knows it. A network that was not trained amplifies every
/// rounding. Its batch norm is folded in the file; here each layer normalises again, by what a batch
/// says, and undoes it, so that the network computes the same.
fn trained() -> (MobileNetV1Config, Vec<f32>) {
    let mut checkpoint = embedded().unfold().unwrap();
    checkpoint.metadata.batch_norm_epsilon = 1e-3;
    let mut config = checkpoint.metadata.config();
    let Normalizer::BatchNorm(batch_norm) = &mut config.base.arg_scope.normalizer else {
        panic!("unfolded");
    };
    batch_norm.decay = 0.0;
    let epsilon = batch_norm.epsilon as f32;
    let layout = FlatLayout::new(&config).unwrap();
    let mut weights = layout.flatten(&checkpoint.parameters).unwrap();
    let options = TrainingPlanOptions::new([96; 2], BATCH, 2);
    let mut plan = TrainingPlan::new(&config, &options).unwrap();
    let images = silhouettes(20, 96).0;
    let mut logits = vec![0.0; plan.logits_len()];
    let mut layers: Vec<LayerName> = layout.entries().iter().map(|(p, _)| p.layer).collect();
    layers.dedup();
    // The statistics of a layer are right once the layers before it are.
    for layer in layers
        .into_iter()
        .filter(|layer| *layer != LayerName::Logits)
    {
        let before = weights.clone();
        let pass = plan.forward(&before, &images, None, &mut logits).unwrap();
        pass.update_running_statistics(&mut weights).unwrap();
        let place = |part| layout.range(layer, part).unwrap().start;
        let [gamma, beta, mean, variance] = [
            Part::Gamma,
            Part::Beta,
            Part::MovingMean,
            Part::MovingVariance,
        ]
        .map(place);
        for channel in 0..layout.range(layer, Part::Gamma).unwrap().len() {
            weights[gamma + channel] = (weights[variance + channel] + epsilon).sqrt();
            weights[beta + channel] += weights[mean + channel];
        }
    }
    (config, weights)
}

fn float_logits(checkpoint: &Checkpoint, images: &[f32]) -> Vec<f32> {
    let weights = PlanWeights::new(&checkpoint.metadata.config(), &checkpoint.parameters).unwrap();
    let mut plan = InferencePlan::new(&weights, &PlanOptions::new([96; 2], 2)).unwrap();
    let mut logits = vec![0.0; BATCH * plan.output_len()];
    plan.run(images, &mut logits).unwrap();
    logits
}

/// Grey silhouettes on black, on the levels of 8-bit pixels.
fn silhouettes(step: u64, size: usize) -> (Vec<f32>, Vec<u32>) {
    let mut images = Vec::new();
    for image in 0..BATCH as u64 {
        let number = (step * BATCH as u64 + image) as f32;
        let half = size as f32 / 2.0;
        for y in 0..size {
            let v = (y as f32 - half) / half;
            // The half width of the shape in this row.
            let width = 0.35 + 0.3 * (number * 1.7).sin() + 0.25 * (v * 4.0 + number).sin();
            for x in 0..size {
                let u = (x as f32 - half) / half;
                let inside = u.abs() < width && v.abs() < 0.85;
                let grey = 150.0 + 60.0 * (u * 9.0 + v * 5.0 * number.cos()).sin();
                let pixel = if inside { grey.round() } else { 0.0 };
                images.extend([(pixel - 128.0) / 128.0; 3]);
            }
        }
    }
    let labels = (0..BATCH as u32).map(|image| (image + step as u32) % 10);
    (images, labels.collect())
}

/// The integers' logits of some images, and their scale.
fn integer_logits(
    config: &MobileNetV1Config,
    state: &State,
    scheme: Scheme,
    size: usize,
    images: &[f32],
) -> (Vec<f32>, f32) {
    let freeze = Freeze {
        config,
        weights: &state.weights,
        ranges: &state.ranges.as_ref().unwrap().ranges(),
        weight_ranges: None,
        scheme: scheme.into(),
        size: [size; 2],
        pixels: [-1.0, 1.0],
    };
    let weights = QuantizedWeights::new(freeze.network().unwrap(), Arithmetic::default()).unwrap();
    let options = IntegerPlanOptions {
        output: IntegerPlanOutput::Logits,
        ..IntegerPlanOptions::new(&weights, 1)
    };
    let mut plan = IntegerPlan::new(&weights, &options).unwrap();
    let mut logits = vec![0.0; images.len() / (size * size * 3) * plan.output_len()];
    let output = IntegerOutput::F32(&mut logits);
    plan.run(&IntegerImages::F32(images), output).unwrap();
    let ValueKind::Quantized(meaning) = plan.output() else {
        panic!("logits are integers");
    };
    (logits, meaning.scale)
}

#[test]
fn integers_compute_what_training_evaluates() {
    const SIZE: usize = 96;
    for scheme in [Scheme::PerTensor, Scheme::PerChannel] {
        let quantization = Quantization {
            scheme,
            ..Quantization::default()
        };
        let recipe = Recipe {
            resolution: SIZE,
            schedule: Schedule::Constant {
                learning_rate: 1e-4,
            },
            batch_norm_decay: 0.99,
            ..recipe(Some(quantization))
        };
        let (config, weights) = trained();
        let layout = FlatLayout::new(&config).unwrap();
        let state = State::new(&recipe, &layout, weights).unwrap();
        let mut trainer = Trainer::new(recipe, &config, state, None, 2).unwrap();
        for step in 0..6 {
            let (images, labels) = silhouettes(step, SIZE);
            trainer.step(&images, &labels).unwrap();
        }
        let state = trainer.state();
        let mut network = FakeQuantizedNetwork::new(
            &config,
            state.weights.clone(),
            state.ranges.clone().unwrap(),
            scheme,
            PIXEL,
            [SIZE; 2],
            5,
            2,
        )
        .unwrap();
        // More images than the network's batch, and not a multiple of it.
        let images = [silhouettes(50, SIZE).0, silhouettes(51, SIZE).0].concat();
        let mut logits = vec![0.0; 2 * BATCH * network.classes()];
        network.run(&images, &mut logits).unwrap();
        let (integers, step) = integer_logits(&config, state, scheme, SIZE, &images);
        let distances = logits.iter().zip(&integers);
        let mut distances: Vec<f32> = distances.map(|(a, b)| (a - b).abs() / step).collect();
        distances.sort_by(f32::total_cmp);
        let differ = distances.iter().filter(|&&distance| distance > 0.5).count();
        let (count, largest) = (distances.len(), distances[distances.len() - 1]);
        println!("{scheme:?}: {differ} of {count} logits differ, at most by {largest:.1} steps");
        // Sums in f32 are now and then on the other side of a half than the integers' sums. The
        // layers behind it may make more of this.
        assert!(
            distances[count * 98 / 100] < 1.01,
            "{scheme:?}: {distances:?}"
        );
        assert!(largest < 3.01, "{scheme:?}: {largest} steps");
        // The logits are not all the same.
        let most = integers.iter().fold(f32::MIN, |a, &b| a.max(b));
        let least = integers.iter().fold(f32::MAX, |a, &b| a.min(b));
        assert!(most - least > 50.0 * step);
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
        let (restored, problems) = checkpoints.newest(&recipe, &layout, &metadata).unwrap();
        assert!(problems.is_empty());
        let mut second = trainer(&recipe, restored.unwrap());
        assert!(bits(&first) == bits(&second), "stopped after {stop}");
        steps(&mut second, stop..8);
        assert!(bits(&second) == bits(&whole), "stopped after {stop}");
        let plain = Recipe {
            quantization: None,
            ..recipe.clone()
        };
        let problem = checkpoints
            .newest(&plain, &layout, &metadata)
            .unwrap_err()
            .to_string();
        assert!(problem.contains("quantization was {"), "{problem}");
    }
}

#[test]
fn a_state_without_ranges_cannot_be_quantised() {
    let recipe = recipe(Some(Quantization::default()));
    let without = State {
        ranges: None,
        ..state(&recipe)
    };
    assert!(Trainer::new(recipe, &config(), without, None, 1).is_err());
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

#[test]
fn shared_values_learn_and_are_what_the_file_holds() {
    const SIZE: usize = 96;
    let float = embedded();
    let images = silhouettes(7, SIZE).0;
    // What the network said before its weights were shared.
    let label = |logits: &[f32]| {
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.unwrap().0 as u32
    };
    let logits = float_logits(&float, &images);
    let labels: Vec<u32> = logits.chunks(10).map(label).collect();

    let network = float.unfold().unwrap();
    let recipe = Recipe {
        resolution: SIZE,
        dropout_keep_prob: 1.0,
        schedule: Schedule::Constant {
            learning_rate: 2e-3,
        },
        frozen_batch_norm: true,
        compression: Some(CompressOptions {
            method: Method::Palette(2),
            bits: None,
        }),
        ..recipe(None)
    };
    let config = network.metadata.config();
    let layout = FlatLayout::new(&config).unwrap();
    let weights = layout.flatten(&network.parameters).unwrap();
    let state = State::new(&recipe, &layout, weights).unwrap();
    let moving = Recipe {
        frozen_batch_norm: false,
        ..recipe.clone()
    };
    assert!(Trainer::new(moving, &config, state.clone(), None, 2).is_err());
    let mut trainer = Trainer::new(recipe, &config, state, None, 2).unwrap();
    let step = |_| trainer.step(&images, &labels).unwrap().loss;
    let losses: Vec<f64> = (0..16).map(step).collect();
    println!("losses {losses:?}");
    // The first is that of plain palettes.
    assert!(losses[15] < 0.7 * losses[0], "{losses:?}");

    let small = trainer.compressed(&network.metadata).unwrap().unwrap();
    let layer = &small.coded.tensors["Conv2d_9_pointwise.weight"];
    assert!(matches!(&layer.levels, Levels::Palette(palette) if palette.len() <= 4));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    save_compressed(&path, &small.checkpoint, &small.coded).unwrap();
    let read = checkpoint::load(&path, ReadLimits::default()).unwrap();
    assert!(read.metadata.folded && read.report.is_complete());
    assert_eq!(read.parameters.len(), small.checkpoint.parameters.len());
    for (name, values) in &small.checkpoint.parameters {
        assert_eq!(&read.parameters[name], values, "{name}");
    }
    // And these are the values that the next step computes with.
    trainer.compute(&images, &labels, 0).unwrap();
    let of_file = float_logits(&read, &images);
    let largest = of_file
        .iter()
        .fold(0f32, |most, value| most.max(value.abs()));
    for (trained, file) in trainer.logits().iter().zip(&of_file) {
        assert!((trained - file).abs() < 1e-4 * largest, "{trained} {file}");
    }
}
