//! Targets, hard negatives and losses of a detector: PyTorch's numbers and gradients
//! (`golden/detection.py`), and what TensorFlow's matcher gives for SSD's anchors.

use crate::support::{close, golden};
use mobilenet_detect::SsdConfig;
use mobilenet_detect::coder::BoxCoder;
use mobilenet_train::detection::loss::{
    ClassLoss, DetectorLoss, Predictions, cross_entropy, focal, smooth_l1,
};
use mobilenet_train::detection::mining::HardNegatives;
use mobilenet_train::detection::targets::{Matcher, Targets};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    anchors: Vec<[f32; 4]>,
    objects: Vec<Vec<(usize, [f32; 4])>>,
    columns: Vec<Vec<u32>>,
    encoding_targets: Vec<Vec<[f32; 4]>>,
    scores: Vec<f32>,
    encodings: Vec<[f32; 4]>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    focal: bool,
    learns_background: bool,
    box_weight: f64,
    classes: f64,
    boxes: f64,
    positives: usize,
    counting: Vec<Vec<usize>>,
    score_gradients: Vec<f32>,
    encoding_gradients: Vec<[f32; 4]>,
}

impl Golden {
    fn matcher(&self) -> Matcher {
        Matcher::new(self.anchors.clone(), BoxCoder::default(), 0.5).unwrap()
    }

    fn targets(&self) -> Vec<Targets> {
        let matcher = self.matcher();
        self.objects
            .iter()
            .map(|objects| matcher.targets(objects))
            .collect()
    }

    fn predictions(&self) -> Predictions {
        Predictions {
            scores: self.scores.clone(),
            encodings: self.encodings.clone(),
        }
    }
}

#[test]
fn targets_of_the_golden_photos() {
    let golden: Golden = golden("detection.json");
    for (photo, targets) in golden.targets().iter().enumerate() {
        assert_eq!(targets.columns, golden.columns[photo], "{photo}");
        let expected = golden.encoding_targets[photo].as_flattened();
        close(
            "encodings",
            targets.encodings.as_flattened(),
            expected,
            1e-4,
        );
    }
}

#[test]
fn losses_and_gradients_of_pytorch() {
    let golden: Golden = golden("detection.json");
    let (matcher, targets, predictions) =
        (golden.matcher(), golden.targets(), golden.predictions());
    assert_eq!(golden.cases.len(), 4);
    for case in &golden.cases {
        let loss = DetectorLoss {
            classes: match case.focal {
                true => ClassLoss::FOCAL,
                false => ClassLoss::HardNegatives(HardNegatives::default()),
            },
            learns_background: case.learns_background,
            box_weight: case.box_weight,
        };
        loss.check().unwrap();
        let mut gradients = Predictions::default();
        let found = loss
            .of_batch(&matcher, &targets, &predictions, &mut gradients)
            .unwrap();
        let name = &case.name;
        assert_eq!(found.positives, case.positives, "{name}");
        close(
            name,
            &[found.classes, found.boxes],
            &[case.classes, case.boxes],
            1e-6,
        );
        close(name, &gradients.scores, &case.score_gradients, 1e-5);
        let expected = case.encoding_gradients.as_flattened();
        close(name, gradients.encodings.as_flattened(), expected, 1e-4);
        // Hard negatives leave anchors out, also one of two equal boxes; focal loss leaves out none.
        let counting: Vec<usize> = case.counting.iter().map(Vec::len).collect();
        match case.focal {
            true => assert_eq!(counting, [50, 50, 50]),
            false => assert!(
                counting[0] > 10 && counting[0] < 50 && counting[2] == 0,
                "{counting:?}"
            ),
        }
    }
}

/// The numbers of TensorFlow's matcher for three boxes on SSD 300's anchors.
#[test]
fn anchors_of_ssd_300_match() {
    let anchors = SsdConfig::new(1.0, 90).anchors().unwrap();
    let boxes = [
        [0.1, 0.1, 0.5, 0.5],
        [0.3, 0.4, 0.9, 0.8],
        [0.02, 0.9, 0.06, 0.94],
    ];
    let objects: Vec<_> = boxes
        .iter()
        .enumerate()
        .map(|(class, &bounds)| (class, bounds))
        .collect();
    let targets = Matcher::new(anchors, BoxCoder::default(), 0.5)
        .unwrap()
        .targets(&objects);
    let count = |column| {
        targets
            .columns
            .iter()
            .filter(|&&found| found == column)
            .count()
    };
    assert_eq!([1, 2, 3].map(count), [19, 8, 1]);
    for (index, column, encoding) in [
        (1719, 1, [0.0, 0.0, -1.11572, -1.11572]),
        (1418, 2, [1.19523, 1.19523, 1.80329, -0.22403]),
        (51, 3, [1.36842, -0.10527, -4.58145, -4.58145]),
    ] {
        assert_eq!(targets.columns[index], column, "{index}");
        close("encoding", &targets.encodings[index], &encoding, 3e-5);
    }
}

#[test]
fn an_anchor_that_two_objects_want_goes_to_the_first() {
    let anchors = vec![[0.5, 0.5, 0.2, 0.2]];
    let matcher = Matcher::new(anchors, BoxCoder::default(), 0.5).unwrap();
    let objects = [(4, [0.0, 0.0, 0.1, 0.1]), (7, [0.4, 0.4, 0.6, 0.6])];
    assert_eq!(matcher.targets(&objects).columns, [5]);
    assert_eq!(matcher.targets(&[]).columns, [0]);
    assert!(Matcher::new(Vec::new(), BoxCoder::default(), f32::NAN).is_err());
    let none = Matcher::new(Vec::new(), BoxCoder::default(), 0.5).unwrap();
    assert!(none.targets(&objects).columns.is_empty());
}

/// Slopes are those of the losses, also where exponentials overflow.
#[test]
fn slopes_and_extremes() {
    for score in [-3.0, -0.4, 0.0, 1.7] {
        for target in [false, true] {
            let losses: [&dyn Fn(f64) -> (f64, f64); 3] = [
                &|score| cross_entropy(score, target),
                &|score| focal(score, target, 0.75, 2.0),
                &smooth_l1,
            ];
            for loss in losses {
                let step = 1e-5;
                let numeric = (loss(score + step).0 - loss(score - step).0) / (2.0 * step);
                assert!((loss(score).1 - numeric).abs() < 1e-6, "{score}: {numeric}");
            }
        }
    }
    for score in [-1e4, 1e4] {
        for target in [false, true] {
            for (loss, slope) in [
                cross_entropy(score, target),
                focal(score, target, 0.75, 2.0),
            ] {
                assert!(
                    loss.is_finite() && slope.is_finite(),
                    "{score} {target}: {loss} {slope}"
                );
            }
        }
    }
}

#[test]
fn lengths_and_classes_that_do_not_fit_are_refused() {
    let golden: Golden = golden("detection.json");
    let (matcher, targets) = (golden.matcher(), golden.targets());
    let run = |targets: &[Targets], predictions: &Predictions| {
        let mut gradients = Predictions::default();
        let loss = DetectorLoss::default().of_batch(&matcher, targets, predictions, &mut gradients);
        loss.expect_err("an error").to_string()
    };
    let mut short = golden.predictions();
    short.encodings.pop();
    assert!(run(&targets, &short).contains("encodings"));
    let mut odd = golden.predictions();
    odd.scores.pop();
    assert!(run(&targets, &odd).contains("scores"));
    let mut wrong = targets.clone();
    wrong[1].columns[7] = 4;
    assert!(run(&wrong, &golden.predictions()).contains("example 7: expected a label below 4"));
    let negative = DetectorLoss {
        box_weight: -1.0,
        ..DetectorLoss::default()
    };
    assert!(negative.check().is_err());
}
