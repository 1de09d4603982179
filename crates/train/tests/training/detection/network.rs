//! The gradients of a detector in training, and the file of what was trained.

use mobilenet_detect::{Computation, DetectorWeights};
use mobilenet_model::architecture::Part;
use mobilenet_train::TrainError;
use mobilenet_train::detection::layout::SsdPart;
use mobilenet_train::detection::loss::{ClassLoss, Predictions};
use mobilenet_train::detection::network::{NetworkOptions, SsdNetwork};
use mobilenet_train::detection::save::save;

use super::{BATCH, SIDE, backbone, config, description};

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
