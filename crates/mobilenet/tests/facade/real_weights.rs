//! Tests Google's weights on photos. The converted weights are in the file that
//! `MOBILENET_REAL_WEIGHTS` names, or in the user's cache. Without them the tests are skipped.
//!
//! The expected probabilities come from an independent forward pass in numpy, on photos that
//! Pillow's bilinear filter resized to 224x224. Only `chelsea` is in the repository. The other
//! photos are read from the folder `shared/data/photos` beside the repository, if they exist.

use std::path::{Path, PathBuf};

use mobilenet::hub::{Cache, DEFAULT_WEIGHTS};
use mobilenet::model::checkpoint::{Checkpoint, ReadLimits, WeightsDtype, load, save};
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::{Classifier, Engine, open_photo};

use crate::skipped::skipped;

fn weights() -> Option<Checkpoint> {
    let path = match std::env::var_os("MOBILENET_REAL_WEIGHTS") {
        Some(path) => PathBuf::from(path),
        None => Cache::of_user().ok()?.file(DEFAULT_WEIGHTS),
    };
    if !path.exists() {
        skipped(format_args!(
            "no weights at {}; `cargo xtask weights {DEFAULT_WEIGHTS}` fetches them",
            path.display()
        ));
        return None;
    }
    let mut checkpoint = load(&path, ReadLimits::default()).unwrap();
    // The expected probabilities are those of whole photos.
    checkpoint.metadata.preprocessing = Preprocessing::plain(224);
    Some(checkpoint)
}

/// Photos, their expected class names, and the expected probabilities.
const EXPECTED: [(&str, &str, f32); 4] = [
    ("docs/images/chelsea.jpg", "Egyptian cat", 0.93),
    ("../shared/data/photos/bird.bmp", "chickadee", 0.999),
    ("../shared/data/photos/parrot.jpg", "macaw", 1.0),
    (
        "../shared/data/photos/grace_hopper.bmp",
        "military uniform",
        0.80,
    ),
];

/// The photos that exist.
fn photos() -> Vec<(PathBuf, &'static str, f32)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    EXPECTED
        .iter()
        .map(|&(path, name, probability)| (root.join(path), name, probability))
        .filter(|(path, ..)| {
            let there = path.exists();
            if !there {
                skipped(format_args!("{} is not there", path.display()));
            }
            there
        })
        .collect()
}

fn best(checkpoint: &Checkpoint, photo: &Path) -> (String, f32) {
    let classifier = Classifier::from_checkpoint(checkpoint.clone(), Engine::default()).unwrap();
    let best = classifier
        .classify(&open_photo(photo).unwrap(), 1)
        .unwrap()
        .remove(0);
    (best.label.unwrap(), best.probability)
}

#[test]
fn photos_get_their_names_and_probabilities() {
    let Some(checkpoint) = weights() else { return };
    for (photo, name, probability) in photos() {
        let (found, found_probability) = best(&checkpoint, &photo);
        let eager = Classifier::from_checkpoint(checkpoint.clone(), Engine::Eager).unwrap();
        let eager = eager
            .classify(&open_photo(&photo).unwrap(), 1)
            .unwrap()
            .remove(0);
        assert!(
            (eager.probability - found_probability).abs() < 1e-4,
            "{eager:?}"
        );
        println!("{}: {found} {found_probability:.4}", photo.display());
        assert_eq!(found, name);
        assert!(
            (found_probability - probability).abs() <= 0.02,
            "{found_probability}"
        );
    }
}

#[test]
fn half_precision_keeps_the_names() {
    let Some(checkpoint) = weights() else { return };
    let folder = tempfile::tempdir().unwrap();
    let size = |dtype| {
        let path = folder.path().join("weights.safetensors");
        save(&path, &checkpoint, dtype).unwrap();
        (
            std::fs::metadata(&path).unwrap().len() as f64,
            load(&path, ReadLimits::default()).unwrap(),
        )
    };
    let (full, _) = size(WeightsDtype::F32);
    for (dtype, tolerance) in [(WeightsDtype::F16, 0.01), (WeightsDtype::Bf16, 0.08)] {
        let (bytes, half) = size(dtype);
        assert!(
            (bytes / full - 0.5).abs() < 0.01,
            "{dtype:?}: {bytes} of {full}"
        );
        for (photo, name, _) in photos() {
            let (exact, (found, probability)) = (best(&checkpoint, &photo), best(&half, &photo));
            println!(
                "{dtype:?} {}: {found} {probability:.4} ({:.4})",
                photo.display(),
                exact.1
            );
            assert_eq!((found.as_str(), exact.0.as_str()), (name, name));
            assert!((probability - exact.1).abs() < tolerance);
        }
    }
}
