//! The detector: boxes in pixels of the photo, many files in order, calls from several threads.

use std::path::Path;

use mobilenet::detect::{Computation, DetectorWeights};
use mobilenet::model::checkpoint::ReadLimits;
use mobilenet::{Detector, DetectorOptions, Error, Photo, PhotoOptions};

/// A detector of random weights, which is a test of the crate below.
const FILE: &str = "../detect/tests/golden/tiny_ssd.tflite";

fn detector(computation: Computation, threads: usize) -> Detector {
    let options = DetectorOptions {
        threads,
        computation,
    };
    Detector::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE), options).unwrap()
}

fn photo(seed: u32) -> Photo {
    Photo::from_fn(90 + seed, 60, |x, y| {
        let value = (x * 7 + y * (13 + seed) + seed * 31) % 256;
        [value as u8, (value * 3 % 256) as u8, (255 - value) as u8].into()
    })
}

#[test]
fn boxes_are_in_the_photo_and_scores_descend() {
    for computation in [Computation::default(), Computation::Floats] {
        let objects = detector(computation, 2).detect(&photo(0)).unwrap();
        assert!(!objects.is_empty());
        for object in &objects {
            let [top, left, bottom, right] = object.bounds;
            assert!(0.0 <= top && top < bottom && bottom <= 60.0, "{object:?}");
            assert!(0.0 <= left && left < right && right <= 90.0, "{object:?}");
            assert!(
                (1..=5).contains(&object.class) && object.score >= 0.5,
                "{object:?}"
            );
        }
        assert!(objects.is_sorted_by(|a, b| a.score >= b.score));
        // Some box ends at the far side: pixels, not shares.
        assert!(objects.iter().any(|object| object.bounds[3] > 45.0));
    }
}

#[test]
fn the_rule_can_be_changed() {
    let all = detector(Computation::default(), 1);
    let mut rule = all.rule().clone();
    rule.most = 2;
    let two = all.with_rule(rule.clone()).unwrap();
    let objects = all.detect(&photo(1)).unwrap();
    assert_eq!(two.detect(&photo(1)).unwrap(), objects[..2]);
    rule.score = 2.0;
    assert!(
        all.with_rule(rule.clone())
            .unwrap()
            .detect(&photo(1))
            .unwrap()
            .is_empty()
    );
    rule.classes = 7;
    assert!(matches!(all.with_rule(rule), Err(Error::Detect(_))));
}

#[test]
fn files_are_answered_in_order_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..12)
        .map(|seed| folder.path().join(format!("{seed:02}.png")))
        .collect();
    for (seed, path) in paths.iter().enumerate() {
        match seed {
            5 => std::fs::write(path, "no photo").unwrap(),
            _ => photo(seed as u32).save(path).unwrap(),
        }
    }
    let single = detector(Computation::default(), 1);
    for threads in [1, 3] {
        let detector = detector(Computation::default(), threads);
        let files = detector.detect_files(paths.clone(), PhotoOptions::default());
        for (seed, file) in files.enumerate() {
            assert_eq!(file.path, paths[seed]);
            match seed {
                5 => assert!(matches!(file.answer, Err(Error::Photo(_)))),
                _ => {
                    let expected = single.detect(&photo(seed as u32)).unwrap();
                    assert_eq!(file.answer.unwrap().objects, expected);
                }
            }
        }
    }
}

#[test]
fn drawing_changes_the_photo_where_objects_are() {
    let photo = photo(2);
    let objects = detector(Computation::default(), 1).detect(&photo).unwrap();
    let drawn = Detector::draw(&photo, &objects);
    assert_eq!(drawn.dimensions(), photo.dimensions());
    assert_ne!(drawn, photo);
    assert_eq!(Detector::draw(&photo, &[]), photo);
}

#[test]
fn other_files_are_refused_by_name() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/fashion_mnist_0.25_96.safetensors");
    let error = Detector::new(&file).unwrap_err().to_string();
    assert!(
        error.contains("fashion_mnist") && error.contains("no detector"),
        "{error}"
    );
    let error = Detector::new("nowhere.tflite").unwrap_err().to_string();
    assert!(error.contains("nowhere.tflite"), "{error}");
    let limits = ReadLimits::default();
    assert!(DetectorWeights::of_bytes("empty", b"", limits, Computation::Floats).is_err());
}
