//! Detectors by several ranks, as threads: the files and the measures of one rank, also if the number
//! changes on the way; and what the shards of a step are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mobilenet_detect::DetectorDescription;
use mobilenet_detect::coder::BoxCoder;
use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_train::data::annotations::{Object, open};
use mobilenet_train::detection::layout::SsdLayout;
use mobilenet_train::detection::network::{NetworkOptions, SsdNetwork};
use mobilenet_train::detection::run::{DetectorJob, DetectorRun, run};
use mobilenet_train::detection::settings::DetectionSettings;
use mobilenet_train::detection::targets::Matcher;
use mobilenet_train::detection::trainer::DetectorTrainer;
use mobilenet_train::layout::ParameterLayout;
use mobilenet_train::log::Record;
use mobilenet_train::optimizer::{GradientClipping, Optimizer, OptimizerConfig};
use mobilenet_train::parallel::{Communicator, Wire};
use mobilenet_train::run::{Observer, RunOptions};
use mobilenet_train::trainer::State;
use mobilenet_train::{Recipe, TrainError};
use safetensors::SafeTensors;

use crate::shapes;
use crate::support::on_ranks;

const SIDE: usize = 64;
const WIDTH: f64 = 0.25;
const SHARDS: usize = 4;
const STEPS: u64 = 4;

fn description() -> DetectorDescription {
    DetectorDescription {
        width: WIDTH,
        min_depth: 8,
        size: [SIDE; 2],
        classes: shapes::CLASSES.map(str::to_string).to_vec(),
        mean: [0.5; 3],
        std: [0.5; 3],
        source: "made shapes".to_string(),
    }
}

fn backbone() -> Checkpoint {
    let metadata = Metadata {
        width: WIDTH,
        classes: Some(3),
        ..Metadata::new(Preprocessing::slim(SIDE))
    };
    Checkpoint {
        parameters: initial_parameters(&metadata.config(), 1).unwrap(),
        metadata,
        report: LoadReport::default(),
    }
}

fn layout() -> SsdLayout {
    SsdNetwork::layout_of(&description().config()).unwrap()
}

/// Two photos in each shard.
fn recipe(shards: usize) -> Recipe {
    Recipe {
        shards,
        ..Recipe::detection(STEPS, 2, 2 * shards, SIDE)
    }
}

struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: u64, _: u64) {}
    fn step(&mut self, _: u64, _: f64) {}
    fn record(&mut self, _: &Record) {}
    fn message(&mut self, _: &str) {}
}

/// A training in `out`, or its continuation, by one of the ranks.
fn train(
    data: &Path,
    out: &Path,
    recipe: &Recipe,
    rank: &mut dyn Communicator,
) -> Result<DetectorRun, TrainError> {
    let parts = open(data).unwrap();
    let options = RunOptions {
        out: out.to_path_buf(),
        version: "test".to_string(),
        threads: 1,
        workers: 1,
        resume: true,
        save_every: None,
        keep: 1,
        log_every: 1,
        max_skipped_share: 0.0,
    };
    let mut backbone = backbone();
    if rank.rank() > 0 {
        // Only those of the first rank count.
        let config = backbone.metadata.config();
        backbone.parameters = initial_parameters(&config, 7).unwrap();
    }
    let job = DetectorJob {
        recipe: recipe.clone(),
        backbone,
        description: description(),
        train: Arc::new(parts.train),
        test: Arc::new(parts.test),
        options: &options,
    };
    run(job, rank, &AtomicBool::new(false), &mut Silent)
}

/// More ranks than photos to evaluate on.
fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    shapes::write(&data, [2 * 2 * SHARDS, 3], SIDE as u32);
    data
}

fn model(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("model.safetensors")).unwrap()
}

#[test]
fn any_number_of_ranks_writes_the_same_detector() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let mut expected = None;
    for ranks in [1, 2, 4] {
        let out = folder.path().join(ranks.to_string());
        let mut runs = on_ranks(ranks, |rank| {
            train(&data, &out, &recipe(SHARDS), rank).unwrap()
        });
        assert!(runs.iter().skip(1).all(|run| run.evaluation.is_none()));
        let evaluation = runs.swap_remove(0).evaluation.unwrap();
        assert_eq!(evaluation.photos, 3);
        let found = (
            model(&out),
            evaluation.coco,
            evaluation.classes,
            evaluation.worst,
        );
        let expected = expected.get_or_insert_with(|| found.clone());
        assert!(*expected == found, "{ranks} ranks");
    }
}

#[test]
fn a_detector_goes_on_with_another_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    on_ranks(1, |rank| {
        train(&data, &whole, &recipe(SHARDS), rank).unwrap()
    });
    for (ranks, steps) in [(4, 1), (2, 3), (1, STEPS)] {
        // The schedule stays that of the whole training.
        let part = Recipe {
            steps,
            ..recipe(SHARDS)
        };
        on_ranks(ranks, |rank| train(&data, &broken, &part, rank).unwrap());
    }
    assert!(model(&broken) == model(&whole));
}

#[test]
fn a_rank_with_other_boxes_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (data(folder.path()), folder.path().join("out"));
    // The same photos; one box has moved by a pixel.
    let other = folder.path().join("other");
    shapes::write(&other, [2 * 2 * SHARDS, 3], SIDE as u32);
    let file = other.join("test/_annotations.coco.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let left = json["annotations"][0]["bbox"][0].as_u64().unwrap();
    json["annotations"][0]["bbox"][0] = (left + 1).into();
    std::fs::write(&file, json.to_string()).unwrap();
    let problems = on_ranks(2, |rank| {
        let data = if rank.rank() == 1 { &other } else { &data };
        let outcome = train(data, &out, &recipe(SHARDS), rank);
        outcome.unwrap_err().to_string()
    });
    assert!(
        problems[1].starts_with("rank 1 differs from rank 0: test photos: 3 with"),
        "{problems:?}"
    );
    // Three shards for each of two ranks are no part of the fixed tree.
    let problems = on_ranks(2, |rank| {
        let outcome = train(&data, &out, &recipe(6), rank);
        outcome.unwrap_err().to_string()
    });
    assert!(problems[0].contains("by 1, 3, 6 ranks"), "{problems:?}");
}

/// Rounded gradients are other ones, but running statistics are exact.
#[test]
fn gradients_of_detectors_may_be_rounded_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let [exact, rounded] = [Wire::F32, Wire::Bf16].map(|wire| {
        let out = folder.path().join(format!("{wire:?}"));
        let recipe = Recipe {
            steps: 1,
            wire,
            moving_average: None,
            ..recipe(SHARDS)
        };
        on_ranks(2, |rank| train(&data, &out, &recipe, rank).unwrap());
        model(&out)
    });
    let [exact, rounded] = [&exact, &rounded].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    for (name, tensor) in exact.iter() {
        let is_same = rounded.tensor(name).unwrap() == tensor;
        if name.contains("moving_") {
            assert!(is_same, "{name}");
        } else if name.ends_with("ClassPredictor/weights") {
            assert!(!is_same, "{name}");
        }
    }
}

/// Made images, and an object or three in each.
fn photos(recipe: &Recipe) -> (Vec<f32>, Vec<Vec<Object>>) {
    let pixels = recipe.batch_size * SIDE * SIDE * 3;
    let images = (0..pixels).map(|at| (at as f32 * 0.37).sin()).collect();
    let objects = (0..recipe.batch_size).map(|photo| {
        let object = |number: usize| {
            let start = 0.1 * (photo % 4 + number) as f32;
            ((photo + number) % 3, [start, 0.1, start + 0.3, 0.6])
        };
        (0..1 + 2 * (photo % 2)).map(object).collect()
    });
    (images, objects.collect())
}

fn trainer(recipe: &Recipe) -> DetectorTrainer {
    let (layout, config) = (layout(), description().config());
    let classes = recipe.detection.unwrap().loss.classes;
    let weights = layout.initial(&config, &backbone().parameters, &classes, 3);
    let state = State::new(recipe, &layout, weights.unwrap()).unwrap();
    DetectorTrainer::new(recipe.clone(), &config, state, 1).unwrap()
}

/// The step of before shards, written out: the network on the whole batch, its loss, the optimiser.
#[test]
fn one_shard_is_the_step_of_a_batch() {
    let recipe = Recipe {
        batch_size: 4,
        optimizer: OptimizerConfig::Momentum {
            momentum: 0.9,
            nesterov: true,
        },
        clipping: Some(GradientClipping::GlobalNorm { limit: 0.5 }),
        ..recipe(1)
    };
    let (config, layout) = (description().config(), layout());
    let DetectionSettings { loss, overlap, .. } = recipe.detection.unwrap();
    let options = NetworkOptions {
        batch: 4,
        threads: 1,
        frozen_layers: 0,
        frozen_batch_norm: false,
        decay: recipe.batch_norm_decay,
    };
    let mut network = SsdNetwork::new(&config, options).unwrap();
    let matcher = Matcher::new(config.anchors().unwrap(), BoxCoder::default(), overlap).unwrap();
    let mut trainer = trainer(&recipe);
    let mut weights = trainer.state().weights.clone();
    let groups = layout.groups(&recipe).unwrap();
    let mut optimizer = Optimizer::new(recipe.optimizer, layout.values(), groups.clone()).unwrap();
    let (images, objects) = photos(&recipe);
    let targets: Vec<_> = objects.iter().map(|one| matcher.targets(one)).collect();
    let mut norms = Vec::new();
    for step in 0..3 {
        let mut gradients = vec![f32::NAN; weights.len()];
        let of_batch = network.gradients(
            &weights,
            &images,
            |predictions, of| loss.of_batch(&matcher, &targets, predictions, of),
            &mut gradients,
        );
        norms.push(
            recipe
                .clipping
                .unwrap()
                .apply(&mut gradients, &groups)
                .unwrap(),
        );
        let rate = recipe.schedule.learning_rate(step);
        optimizer.step(&mut weights, &gradients, rate).unwrap();
        for range in network.statistics() {
            weights[range.clone()].copy_from_slice(&gradients[range.clone()]);
        }
        let outcome = trainer.step(&images, &objects).unwrap();
        assert_eq!(outcome.loss, of_batch.unwrap().total(), "step {step}");
        assert!(trainer.state().weights == weights, "step {step}");
    }
    assert!(norms.iter().all(|norm| *norm > 0.5), "{norms:?}");
}

/// Each shard's loss is divided by its own anchors with an object.
#[test]
fn the_loss_is_the_mean_of_those_of_the_shards() {
    // The first shard has two objects, the second one six.
    let of_both = Recipe {
        batch_size: 4,
        ..recipe(2)
    };
    let (images, mut objects) = photos(&of_both);
    objects.swap(1, 2);
    let half = Recipe {
        batch_size: 2,
        ..recipe(1)
    };
    let own: Vec<f64> = images
        .chunks(images.len() / 2)
        .zip(objects.chunks(2))
        .map(|(images, objects)| trainer(&half).step(images, objects).unwrap().loss)
        .collect();
    let of_step = |recipe: &Recipe| trainer(recipe).step(&images, &objects).unwrap().loss;
    assert_eq!(of_step(&of_both), (own[0] + own[1]) / 2.0);
    let together = of_step(&Recipe {
        shards: 1,
        ..of_both.clone()
    });
    assert!((together - of_step(&of_both)).abs() > 1e-3);
}

/// Ranges of frozen running statistics keep their bits, though the mean of shards may not.
#[test]
fn frozen_statistics_of_detectors_stay() {
    let recipe = Recipe {
        frozen_batch_norm: true,
        ..recipe(6)
    };
    let (images, objects) = photos(&recipe);
    let mut trainer = trainer(&recipe);
    let before = trainer.state().weights.clone();
    trainer.step(&images, &objects).unwrap();
    let (mut kept, mut moved) = (0, 0);
    for range in layout().running_statistics() {
        match trainer.state().weights[range.clone()] == before[range] {
            true => kept += 1,
            false => moved += 1,
        }
    }
    // Mean and variance of 27 layers of the body, and of eight others.
    assert_eq!((kept, moved), (2 * 27, 2 * 8));
}
