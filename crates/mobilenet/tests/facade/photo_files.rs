//! Many photo files: in order, whatever some of them are, and in bounded memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::{Classifier, Engine, Error, PhotoOptions, Views, open_photo};

fn classifier(threads: usize) -> Classifier {
    let metadata = Metadata {
        width: 0.25,
        classes: Some(10),
        ..Metadata::new(Preprocessing::timm(32, 0.875))
    };
    let checkpoint = Checkpoint {
        parameters: random_parameters(&metadata.config(), 0).unwrap(),
        metadata,
        report: LoadReport::default(),
    };
    let engine = Engine::Plan {
        threads: Some(threads),
        weights: WeightType::F32,
    };
    Classifier::from_checkpoint(checkpoint, engine).unwrap()
}

/// A photo of noise, as PPM.
fn photo(path: &Path, side: usize, seed: usize) {
    let mut bytes = format!("P6 {side} {side} 255 ").into_bytes();
    let value = |i: usize| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 7) as u8;
    bytes.extend((0..side * side * 3).map(value));
    std::fs::write(path, bytes).unwrap();
}

/// Photos of many sizes; every seventh is none.
fn photos(folder: &Path, count: usize) -> Vec<PathBuf> {
    let make = |i: usize| {
        let path = folder.join(format!("{i:03}.ppm"));
        match i % 7 {
            3 => std::fs::write(&path, "no photo").unwrap(),
            _ => photo(&path, 40 + 37 * (i % 11), i),
        }
        path
    };
    (0..count).map(make).collect()
}

#[test]
fn answers_are_those_of_single_photos_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let paths = photos(folder.path(), 100);
    for threads in [1, 2, 5] {
        let classifier = classifier(threads);
        // Little memory: the large ones are decoded alone.
        let options = PhotoOptions {
            top: 3,
            memory: 100_000,
            ..PhotoOptions::default()
        };
        let found: Vec<_> = classifier.classify_files(paths.clone(), options).collect();
        assert_eq!(found.len(), paths.len());
        for (i, (found, path)) in found.iter().zip(&paths).enumerate() {
            assert_eq!(&found.path, path);
            match (&found.answer, i % 7) {
                (Err(Error::Photo(_)), 3) => {}
                (Ok(answer), 0..=2 | 4..=6) => {
                    let alone = classifier.classify(&open_photo(path).unwrap(), 3).unwrap();
                    assert_eq!(answer.predictions, alone);
                }
                (other, _) => panic!("{i}: {other:?}"),
            }
        }
    }
}

/// The short edge cannot become 36 pixels without making the other one endless.
#[test]
fn a_photo_that_does_not_fit_the_rule_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.ppm");
    let header = b"P6 1 5000 255 ".to_vec();
    std::fs::write(&path, [header, vec![0; 3 * 5000]].concat()).unwrap();
    let answer = classifier(1).classify_file(&path, &PhotoOptions::default());
    let error = answer.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}: 1x5000 is too narrow to resize to 36", path.display())
    );
}

#[test]
fn no_files_and_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let classifier = classifier(2);
    let options = PhotoOptions::default();
    assert!(
        classifier
            .classify_files(Vec::new(), options)
            .next()
            .is_none()
    );
    let paths = photos(folder.path(), 1);
    let found: Vec<_> = classifier.classify_files(paths.clone(), options).collect();
    let alone = classifier.classify_file(&paths[0], &options).unwrap();
    assert_eq!(
        found[0].answer.as_ref().unwrap().predictions,
        alone.predictions
    );
}

#[test]
fn files_are_not_begun_long_before_their_answers_are_taken_nor_after_a_drop() {
    let folder = tempfile::tempdir().unwrap();
    let path = photos(folder.path(), 1).remove(0);
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let endless = std::iter::repeat_with(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        path.clone()
    });
    let mut files = classifier(3).classify_files(endless, PhotoOptions::default());
    for _ in 0..200 {
        assert!(files.next().unwrap().answer.is_ok());
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    let ahead = begun.load(Ordering::SeqCst) - 200;
    assert!(ahead <= 3 * 16, "{ahead}");
    drop(files);
    let ended = begun.load(Ordering::SeqCst);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(begun.load(Ordering::SeqCst), ended);
}

/// A source that panics ends the answers; nobody waits for what never comes.
#[test]
fn a_source_that_panics_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = photos(folder.path(), 3).into_iter();
    let source = std::iter::from_fn(move || Some(paths.next().expect("the end of the source")));
    let files = classifier(2).classify_files(source.take(10), PhotoOptions::default());
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| files.count()));
    assert!(found.map_or(true, |count| count <= 3));
}

#[test]
fn views_are_averaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.ppm");
    photo(&path, 100, 1);
    let photo = open_photo(&path).unwrap();
    let classifier = classifier(1);
    let probabilities = |classifier: &Classifier, pixels: &[f32]| {
        let mut all = classifier.classify_pixels(pixels, 10).unwrap();
        all.sort_by_key(|prediction| prediction.class);
        all.into_iter()
            .map(|prediction| prediction.probability)
            .collect::<Vec<_>>()
    };
    for views in [Views::Two, Views::Ten] {
        let several = classifier.with_views(views);
        let pixels = several.views(&photo).unwrap();
        let found = probabilities(&several, &pixels);
        let each = pixels.chunks(pixels.len() / views.count());
        let each: Vec<_> = each
            .map(|pixels| probabilities(&classifier, pixels))
            .collect();
        for (class, found) in found.iter().enumerate() {
            let mean = each.iter().map(|one| one[class]).sum::<f32>() / each.len() as f32;
            assert!((found - mean).abs() < 1e-6);
        }
        let best = several.classify(&photo, 1).unwrap().remove(0);
        assert_eq!(best.probability, found[best.class]);
        let of_file = several
            .classify_file(&path, &PhotoOptions::default())
            .unwrap();
        assert_eq!(of_file.predictions[0], best);
    }
    assert!(classifier.classify_pixels(&[], 1).is_err());
}
