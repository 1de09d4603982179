//! A whole training of a detector, which is interrupted, goes on with the same bits, and whose weights
//! a detector loads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mobilenet_detect::{Computation, DetectorWeights};
use mobilenet_train::data::annotations::open;
use mobilenet_train::detection::augment::DetectionAugmentation;
use mobilenet_train::detection::evaluation::{DetectionOptions, evaluate};
use mobilenet_train::detection::loss::{ClassLoss, DetectorLoss};
use mobilenet_train::detection::network::SsdNetwork;
use mobilenet_train::detection::run::{DetectorJob, DetectorRun, run};
use mobilenet_train::detection::settings::DetectionSettings;
use mobilenet_train::layout::ParameterLayout;
use mobilenet_train::log::{History, Record};
use mobilenet_train::optimizer::OptimizerConfig;
use mobilenet_train::parallel::Alone;
use mobilenet_train::recipe::Trainable;
use mobilenet_train::run::{Observer, RunOptions};
use mobilenet_train::schedule::Schedule;
use mobilenet_train::{Recipe, TrainError};
use safetensors::SafeTensors;

use super::{BATCH, SIDE, backbone, config, description};
use crate::shapes;

/// Stops after so many steps.
struct Stopper<'a> {
    stop: &'a AtomicBool,
    after: u64,
    losses: Vec<f64>,
}

impl Observer for Stopper<'_> {
    fn begin(&mut self, _: u64, _: u64) {}
    fn step(&mut self, step: u64, loss: f64) {
        self.losses.push(loss);
        if step >= self.after {
            self.stop.store(true, Ordering::SeqCst);
        }
    }
    fn record(&mut self, _: &Record) {}
    fn message(&mut self, _: &str) {}
}

const STEPS: u64 = 36;

fn recipe() -> Recipe {
    Recipe {
        detection: Some(DetectionSettings {
            augmentation: DetectionAugmentation {
                flip: true,
                ..DetectionAugmentation::NONE
            },
            ..DetectionSettings::default()
        }),
        optimizer: OptimizerConfig::adam_w(),
        schedule: Schedule::Constant {
            learning_rate: 3e-3,
        },
        seed: 3,
        ..Recipe::detection(STEPS, 6, BATCH, SIDE)
    }
}

fn train(
    data: &Path,
    out: &Path,
    recipe: Recipe,
    after: u64,
    resume: bool,
) -> (DetectorRun, Vec<f64>) {
    let parts = open(data).unwrap();
    let options = RunOptions {
        out: out.to_path_buf(),
        version: "test".to_string(),
        threads: 2,
        workers: 2,
        resume,
        save_every: Some(1000),
        keep: 2,
        log_every: 3,
        max_skipped_share: 0.0,
    };
    let job = DetectorJob {
        recipe,
        backbone: backbone(),
        description: description(),
        train: Arc::new(parts.train),
        test: Arc::new(parts.test),
        options: &options,
    };
    let stop = AtomicBool::new(false);
    let mut observer = Stopper {
        stop: &stop,
        after,
        losses: Vec::new(),
    };
    let run = run(job, &mut Alone, &stop, &mut observer).unwrap();
    (run, observer.losses)
}

#[test]
fn a_training_learns_stops_and_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let [data, whole, parts] = ["data", "whole", "parts"].map(|name| folder.path().join(name));
    shapes::write(&data, [24, 5], SIDE as u32);

    let (run, losses) = train(&data, &whole, recipe(), u64::MAX, false);
    assert_eq!((run.step, run.interrupted), (STEPS, false));
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..4]), mean(&losses[losses.len() - 4..]));
    assert!(last < 0.8 * first, "{losses:?}");
    let evaluation = run.evaluation.unwrap();
    assert_eq!(evaluation.photos, 5);
    assert!(
        evaluation.objects >= 5 && evaluation.coco.ap.is_some() && evaluation.voc.ap_11.is_some()
    );

    let (run, before) = train(&data, &parts, recipe(), 8, false);
    assert_eq!((run.step, run.interrupted), (8, true));
    let (run, after) = train(&data, &parts, recipe(), u64::MAX, true);
    assert_eq!((run.step, run.interrupted), (STEPS, false));
    assert_eq!([before, after].concat(), losses);
    let read = |out: &Path, name: &str| std::fs::read(out.join(name)).unwrap();
    let model = "model.safetensors";
    assert!(
        read(&whole, model) == read(&parts, model),
        "{model} differs"
    );
    // The order of a checkpoint's metadata is random.
    let [all, joined] =
        [&whole, &parts].map(|out| read(out, "checkpoints/step-0000000036.safetensors"));
    let [all, joined] = [&all, &joined].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    assert_eq!(all.len(), joined.len());
    for (name, tensor) in all.iter() {
        assert!(joined.tensor(name).unwrap() == tensor, "{name} differs");
    }

    // Logs and report.
    let history = History::read(&parts.join("log.jsonl")).unwrap();
    assert_eq!(history.steps().last().unwrap().step, STEPS);
    assert_eq!(history.detections().count(), 6);
    let page = String::from_utf8(read(&whole, "report/report.html")).unwrap();
    for part in [
        "AP at 0.50",
        "Loss in training",
        "missed: ",
        "made shapes",
        "hard_negatives",
    ] {
        assert!(page.contains(part) || part == "missed: ", "no {part}");
    }
    assert!(page.contains("data:image/png") && page.contains("Photos with the most mistakes"));

    // Its own file says what it is, and gives the same numbers.
    let detector =
        DetectorWeights::open(&whole.join("model.safetensors"), Computation::default()).unwrap();
    assert_eq!(detector.names().name(2), Some("triangle"));
    assert_eq!(detector.preprocessing().size, [SIDE; 2]);
    let options = DetectionOptions {
        threads: 3,
        max_skipped_share: 0.0,
        worst: 2,
    };
    let test = open(&data).unwrap().test;
    let again = evaluate(&detector, &test, &options, &mut Alone, &mut || ()).unwrap();
    let again = again.unwrap();
    assert_eq!((again.coco, again.voc), (evaluation.coco, evaluation.voc));
    assert_eq!(again.worst.len(), 2);

    // Another recipe does not go on.
    let parts_of = open(&data).unwrap();
    let other = Recipe {
        seed: 4,
        ..recipe()
    };
    let options = RunOptions {
        out: parts.clone(),
        version: "test".to_string(),
        threads: 1,
        workers: 1,
        resume: true,
        save_every: None,
        keep: 1,
        log_every: 1,
        max_skipped_share: 0.0,
    };
    let job = DetectorJob {
        recipe: other,
        backbone: backbone(),
        description: description(),
        train: Arc::new(parts_of.train),
        test: Arc::new(parts_of.test),
        options: &options,
    };
    let stop = AtomicBool::new(false);
    let mut observer = Stopper {
        stop: &stop,
        after: u64::MAX,
        losses: Vec::new(),
    };
    let error = mobilenet_train::detection::run::run(job, &mut Alone, &stop, &mut observer);
    let error = error.unwrap_err();
    assert!(matches!(error, TrainError::OtherRecipe { .. }), "{error}");
}

/// The network that is saved computes what was trained: with the running statistics of a frozen body.
#[test]
fn frozen_layers_keep_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "out"].map(|name| folder.path().join(name));
    shapes::write(&data, [8, 2], SIDE as u32);
    let settings = DetectionSettings {
        loss: DetectorLoss {
            classes: ClassLoss::FOCAL,
            learns_background: false,
            box_weight: 0.25,
        },
        ..DetectionSettings::default()
    };
    let recipe = Recipe {
        steps: 2,
        moving_average: None,
        detection: Some(settings),
        trainable: Trainable::Scopes(vec!["Conv2d_13".to_string(), "BoxPredictor".to_string()]),
        frozen_batch_norm: true,
        ..recipe()
    };
    train(&data, &out, recipe, u64::MAX, false);
    let layout = SsdNetwork::layout_of(&config()).unwrap();
    let initial = layout
        .initial(&config(), &backbone().parameters, &ClassLoss::FOCAL, 3)
        .unwrap();
    let bytes = std::fs::read(out.join("checkpoints/step-0000000002.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (mut kept, mut changed) = (0, 0);
    for place in layout.places() {
        let tensor = file.tensor(&place.name).unwrap();
        let (values, _) = tensor.data().as_chunks::<4>();
        let same = values
            .iter()
            .zip(&initial[place.range.clone()])
            .all(|(a, b)| f32::from_le_bytes(*a) == *b);
        let body = place.name.contains("Conv2d_12_") || place.name.contains("Conv2d_0");
        let norm_of_body = place.name.contains("Conv2d_13_pointwise/BatchNorm");
        assert!(
            same || !(body || norm_of_body),
            "{} has changed",
            place.name
        );
        kept += usize::from(same);
        changed += usize::from(!same);
    }
    assert!(kept > 50 && changed > 20, "{kept} {changed}");
}
