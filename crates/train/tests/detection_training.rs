//! A detector in training: its gradients, its random changes of photos, and a whole training on made
//! shapes, which is interrupted, goes on with the same bits, and whose weights a detector loads.

#[path = "support/shapes.rs"]
#[allow(unreachable_pub, reason = "an example uses the module, too")]
mod shapes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mobilenet_detect::bounds::Bounds;
use mobilenet_detect::{Computation, DetectorDescription, DetectorWeights, SsdConfig};
use mobilenet_model::architecture::Part;
use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_train::data::annotations::{Object, open};
use mobilenet_train::detection::augment::{DetectionAugmentation, crop};
use mobilenet_train::detection::evaluation::{DetectionOptions, evaluate};
use mobilenet_train::detection::layout::SsdPart;
use mobilenet_train::detection::loss::{ClassLoss, DetectorLoss, Predictions};
use mobilenet_train::detection::network::{NetworkOptions, SsdNetwork};
use mobilenet_train::detection::run::{DetectorJob, DetectorRun, run};
use mobilenet_train::detection::save::save;
use mobilenet_train::detection::settings::DetectionSettings;
use mobilenet_train::layout::ParameterLayout;
use mobilenet_train::log::{History, Record};
use mobilenet_train::optimizer::OptimizerConfig;
use mobilenet_train::parallel::Alone;
use mobilenet_train::recipe::Trainable;
use mobilenet_train::run::{Observer, RunOptions};
use mobilenet_train::schedule::Schedule;
use mobilenet_train::{Recipe, TrainError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

const SIDE: usize = 64;
const WIDTH: f64 = 0.25;
const BATCH: usize = 4;

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

fn config() -> SsdConfig {
    description().config()
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

fn network(threads: usize, batch: usize) -> SsdNetwork {
    let options = NetworkOptions {
        batch,
        threads,
        frozen_layers: 0,
        frozen_batch_norm: false,
        decay: 0.9,
    };
    SsdNetwork::new(&config(), options).unwrap()
}

/// Reproducible values in [-1, 1).
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A loss that is linear in the predictions of the first `anchors` of each photo, and the gradients of the
/// parameters.
fn linear(
    network: &mut SsdNetwork,
    parameters: &[f32],
    images: &[f32],
    anchors: usize,
) -> (f64, Vec<f32>) {
    let mut gradients = vec![f32::NAN; parameters.len()];
    let loss = |predictions: &Predictions, of: &mut Predictions| {
        let all = config().anchors().unwrap().len();
        let weights = |seed: u64, width: usize| -> Vec<f32> {
            let values = values(seed, predictions.encodings.len() * width)
                .into_iter()
                .enumerate();
            let inside = |index: usize| index / width % all < anchors;
            values
                .map(|(index, value)| if inside(index) { value } else { 0.0 })
                .collect()
        };
        let of_scores = weights(3, config().columns());
        let of_boxes = weights(4, 4);
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let loss = dot(&predictions.scores, &of_scores)
            + dot(predictions.encodings.as_flattened(), &of_boxes);
        of.scores.copy_from_slice(&of_scores);
        of.encodings.as_flattened_mut().copy_from_slice(&of_boxes);
        Ok::<_, TrainError>(loss)
    };
    let loss = network
        .gradients(parameters, images, loss, &mut gradients)
        .unwrap();
    (loss, gradients)
}

/// Along each tensor's own gradient the loss grows as the gradient says. Normalisation by the few pixels
/// of the last maps bends a loss too much to see that through the whole body, so the body is tried by the
/// predictions of the first two maps, and the layers after it by those of all maps.
#[test]
fn gradients_are_those_of_the_loss() {
    // Many photos, so that no normalisation is by a few pixels only.
    let mut network = network(1, 24);
    let layout = network.layout().clone();
    let backbone = backbone().parameters;
    let initial = layout
        .initial(&config(), &backbone, &ClassLoss::FOCAL, 5)
        .unwrap();
    // Larger values than the initial ones, so that every layer matters.
    let noise = values(9, initial.len());
    let parameters: Vec<f32> = initial
        .iter()
        .zip(noise)
        .map(|(a, b)| a + 0.05 * b)
        .collect();
    let images = values(2, network.images_len());
    let statistics: Vec<usize> = network
        .statistics()
        .iter()
        .map(|range| range.start)
        .collect();
    let is_body =
        |name: &str| !name.contains("Conv2d_13_pointwise") && !name.contains("BoxPredictor");
    let mut checked = [0, 0];
    for (body, anchors) in [(true, 4 * 4 * 3 + 2 * 2 * 6), (false, usize::MAX)] {
        let (_, gradients) = linear(&mut network, &parameters, &images, anchors);
        // Some of them, because each takes two passes.
        for parameter in layout.parameters().iter().step_by(4) {
            let (name, range) = (parameter.name(), parameter.range());
            if statistics.contains(&range.start) || is_body(name) != body {
                continue;
            }
            let squares = gradients[range.clone()]
                .iter()
                .map(|g| f64::from(*g).powi(2));
            let slope = squares.sum::<f64>().sqrt();
            // Of what a normalisation takes away again, nothing is left but rounding.
            if slope < 1e-2 {
                continue;
            }
            let size = parameters[range.clone()]
                .iter()
                .map(|w| w * w)
                .sum::<f32>()
                .sqrt();
            let step = (1e-3 * size.max(0.1)).min(0.2 / slope as f32);
            let mut along = |sign: f32| {
                let mut moved = parameters.clone();
                let gradient = &gradients[range.clone()];
                for (weight, gradient) in moved[range.clone()].iter_mut().zip(gradient) {
                    *weight += sign * step * gradient / slope as f32;
                }
                linear(&mut network, &moved, &images, anchors).0
            };
            let found = (along(1.0) - along(-1.0)) / (2.0 * f64::from(step));
            let error = (found - slope).abs() / slope;
            assert!(
                error < 0.05,
                "{name}: {slope}, but the loss grows by {found}"
            );
            checked[usize::from(body)] += 1;
        }
    }
    assert!(checked[0] > 8 && checked[1] > 15, "{checked:?}");
}

#[test]
fn threads_change_no_prediction_by_more_than_rounding() {
    let (mut one, mut three) = (network(1, BATCH), network(3, BATCH));
    let parameters = one
        .layout()
        .initial(&config(), &backbone().parameters, &ClassLoss::FOCAL, 5)
        .unwrap();
    let images = values(2, one.images_len());
    let ((a, _), (b, _)) = (
        linear(&mut one, &parameters, &images, usize::MAX),
        linear(&mut three, &parameters, &images, usize::MAX),
    );
    assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{a} {b}");
    // The same number of threads gives the same bits.
    let again = linear(&mut three, &parameters, &images, usize::MAX);
    assert_eq!(linear(&mut three, &parameters, &images, usize::MAX), again);
}

/// The saved detector computes what the network in training predicts, where its running statistics are
/// those of the batch.
#[test]
fn the_file_holds_what_was_trained() {
    // With one photo, normalisation would divide by nothing where a map has one pixel.
    const PHOTOS: usize = 8;
    let options = NetworkOptions {
        batch: PHOTOS,
        threads: 1,
        frozen_layers: 0,
        frozen_batch_norm: false,
        decay: 0.0,
    };
    let mut network = SsdNetwork::new(&config(), options).unwrap();
    let layout = network.layout().clone();
    let initial = layout
        .initial(&config(), &backbone().parameters, &ClassLoss::FOCAL, 5)
        .unwrap();
    let noise = values(9, initial.len());
    let mut parameters: Vec<f32> = initial
        .iter()
        .zip(noise)
        .map(|(a, b)| a + 0.05 * b)
        .collect();
    let images = values(2, network.images_len());
    let mut moved = vec![0.0; parameters.len()];
    let keep = |predictions: &Predictions, _: &mut Predictions| Ok(predictions.clone());
    let expected = network
        .gradients(&parameters, &images, keep, &mut moved)
        .unwrap();
    for range in network.statistics() {
        parameters[range.clone()].copy_from_slice(&moved[range.clone()]);
    }
    // Normalisation is by the biased variance, running statistics have the unbiased one.
    let mut size = [SIDE; 2];
    for (index, layer) in config().network().unwrap().layers.iter().enumerate() {
        let resolved = layer.shape.geometry.resolve(1, size[0], size[1]).unwrap();
        size = [resolved.rows.output, resolved.columns.output];
        let count = (PHOTOS * size[0] * size[1]) as f32;
        let range = layout.range(SsdPart::Chain(index), Part::MovingVariance);
        let biased = |variance: &mut f32| *variance *= (count - 1.0) / count;
        parameters[range].iter_mut().for_each(biased);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    save(&path, &layout, &parameters, &description()).unwrap();
    let detector = DetectorWeights::open(&path, Computation::default()).unwrap();
    let [encodings, scores] = detector
        .plan(1)
        .unwrap()
        .predict(&images[..images.len() / PHOTOS])
        .unwrap();
    let logistic = |score: &f32| 1.0 / (1.0 + (-score).exp());
    let first = |values: &[f32]| values[..values.len() / PHOTOS].to_vec();
    let expected_scores: Vec<f32> = first(&expected.scores).iter().map(logistic).collect();
    let spread = expected_scores
        .iter()
        .fold([1.0f32, 0.0f32], |[a, b], s| [a.min(*s), b.max(*s)]);
    assert!(spread[1] - spread[0] > 0.01, "{spread:?}");
    for (found, expected) in [
        (
            &encodings[..],
            &first(expected.encodings.as_flattened())[..],
        ),
        (&scores[..], &expected_scores[..]),
    ] {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (found - expected).abs();
            assert!(
                error < 2e-3 * expected.abs().max(1.0),
                "{index}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn crops_keep_what_they_contain() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let objects: [Object; 2] = [(0, [0.1, 0.2, 0.4, 0.5]), (1, [0.6, 0.5, 0.95, 0.9])];
    let (mut whole, mut none, mut cut) = (0, 0, 0);
    for _ in 0..2000 {
        let (window, kept) = crop([90, 120], &objects, &mut rng);
        assert!(window.height > 0 && window.top + window.height <= 90);
        assert!(window.width > 0 && window.left + window.width <= 120);
        whole += usize::from(window.height == 90 && window.width == 120);
        none += usize::from(kept.is_empty());
        for (class, bounds) in kept {
            assert!(bounds.iter().all(|side| (0.0..=1.0).contains(side)));
            // Back in the photo, it is a part of the object.
            let [top, left, bottom, right] = bounds;
            let back: Bounds = [
                (window.top as f32 + top * window.height as f32) / 90.0,
                (window.left as f32 + left * window.width as f32) / 120.0,
                (window.top as f32 + bottom * window.height as f32) / 90.0,
                (window.left as f32 + right * window.width as f32) / 120.0,
            ];
            let (_, original) = objects[class];
            for side in 0..2 {
                assert!(
                    back[side] >= original[side] - 1e-5
                        && back[side + 2] <= original[side + 2] + 1e-5
                );
            }
            cut += usize::from((back[2] - back[0]) < (original[2] - original[0]) - 1e-3);
        }
    }
    // A photo is left whole in about 15 of 100 cases, and more often where nothing else was found.
    assert!((250..700).contains(&whole), "{whole}");
    assert!(none > 0 && none < 200 && cut > 100, "{none} {cut}");
    let (_, kept) = crop([90, 120], &[], &mut rng);
    assert!(kept.is_empty());
}

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
