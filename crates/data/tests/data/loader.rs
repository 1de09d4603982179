//! Tests that batches depend on seed and step only, that they are full in spite of broken photos,
//! and that worker threads end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mobilenet_data::augment::Augmentation;
use mobilenet_data::{
    Batch, DataError, EvaluationBatches, EvaluationConfig, ImageDataset, Loader, LoaderConfig,
    Part, Photo, image_folder,
};
use mobilenet_photos::Preprocessing;

/// Synthetic photos. Those in `broken` cannot be loaded.
struct Made {
    images: usize,
    broken: Vec<usize>,
    names: Vec<String>,
    /// How long a photo takes to decode.
    pause: Duration,
    loads: AtomicUsize,
}

impl Made {
    fn new(images: usize, broken: &[usize]) -> Self {
        Self {
            images,
            broken: broken.to_vec(),
            names: ["even", "odd"].map(String::from).to_vec(),
            pause: Duration::ZERO,
            loads: AtomicUsize::new(0),
        }
    }
}

impl ImageDataset for Made {
    fn len(&self) -> usize {
        self.images
    }

    fn class_names(&self) -> &[String] {
        &self.names
    }

    fn label(&self, index: usize) -> usize {
        index % 2
    }

    fn load(&self, index: usize) -> Result<Photo, DataError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(self.pause);
        if self.broken.contains(&index) {
            return Err(DataError::Settings(format!("photo {index} is broken")));
        }
        // Sizes differ, so that a wrong order would change the crops.
        let (width, height) = (9 + index as u32 % 5, 7 + index as u32 % 3);
        Ok(Photo::from_fn(width, height, |x, y| {
            image::Rgb([(index * 3) as u8, (x * 25) as u8, (y * 30) as u8])
        }))
    }

    fn name(&self, index: usize) -> String {
        format!("made {index}")
    }
}

fn config(workers: usize) -> LoaderConfig {
    LoaderConfig {
        batch_size: 4,
        resolution: 8,
        seed: 9,
        workers,
        augmentation: Augmentation::Inception {
            fast: false,
            fixed_order: false,
        },
        max_skipped_share: 0.2,
        ..LoaderConfig::default()
    }
}

fn batches(dataset: Made, config: LoaderConfig, first: u64, count: usize) -> Vec<Batch> {
    let mut loader = Loader::new(Arc::new(dataset), config, first).unwrap();
    (0..count)
        .map(|_| {
            let batch = loader.next_batch().unwrap();
            // Returns the memory, to test that a batch shows nothing of an earlier one.
            loader.give_back(batch.clone());
            batch
        })
        .collect()
}

#[test]
fn batches_depend_on_seed_and_step_only() {
    for broken in [&[][..], &[3, 11]] {
        let made = || Made::new(30, broken);
        let all = batches(made(), config(1), 0, 20);
        for workers in [2, 3] {
            assert!(
                batches(made(), config(workers), 0, 20) == all,
                "{workers} workers"
            );
        }
        for first in [1, 6, 13] {
            let later = batches(made(), config(2), first as u64, 20 - first);
            assert!(later == all[first..], "from step {first}");
        }
        let other = LoaderConfig {
            seed: 10,
            ..config(1)
        };
        assert!(batches(made(), other, 0, 20) != all);
    }
}

/// The parts of all ranks together are the batch. This also holds for replaced photos, for a rank
/// that begins later, and for an epoch's last, smaller batch.
#[test]
fn the_parts_of_all_ranks_are_the_batch() {
    for (broken, drop_last) in [(&[][..], true), (&[3, 11], true), (&[], false)] {
        let made = || Made::new(30, broken);
        let whole = LoaderConfig {
            drop_last,
            ..config(2)
        };
        let all = batches(made(), whole.clone(), 0, 20);
        for world in [1, 2, 3, 4] {
            let mut joined: Vec<Batch> = Vec::new();
            for batch in &all[6..] {
                joined.push(Batch {
                    step: batch.step,
                    epoch: batch.epoch,
                    ..Batch::default()
                });
            }
            for rank in 0..world {
                let part = LoaderConfig {
                    part: Part { rank, world },
                    ..whole.clone()
                };
                for (joined, part) in joined.iter_mut().zip(batches(made(), part, 6, 14)) {
                    assert_eq!((part.step, part.epoch), (joined.step, joined.epoch));
                    joined.images.extend(part.images);
                    joined.labels.extend(part.labels);
                    joined.indices.extend(part.indices);
                }
            }
            assert!(joined == all[6..], "{world} ranks");
        }
    }
}

#[test]
fn an_epoch_has_every_photo_once_in_an_order_of_its_own() {
    let all = batches(Made::new(28, &[]), config(2), 0, 21);
    let mut orders = Vec::new();
    for (epoch, batches) in all.chunks(7).enumerate() {
        let indices: Vec<usize> = batches
            .iter()
            .flat_map(|batch| batch.indices.clone())
            .collect();
        let mut sorted = indices.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..28));
        orders.push(indices);
        for (number, batch) in batches.iter().enumerate() {
            assert_eq!(batch.epoch, epoch as u64);
            assert_eq!(batch.step as usize, epoch * 7 + number);
            assert_eq!(batch.images.len(), 4 * 8 * 8 * 3);
            let labels = batch.indices.iter().map(|&index| index as u32 % 2);
            assert!(batch.labels.iter().copied().eq(labels));
        }
    }
    assert!(orders[0] != orders[1] && orders[1] != orders[2]);
}

#[test]
fn the_last_batch_is_left_out_or_small() {
    let keep = LoaderConfig {
        drop_last: false,
        ..config(2)
    };
    let sizes = |config| {
        let all = batches(Made::new(10, &[]), config, 0, 6);
        all.iter()
            .map(|batch| (batch.epoch, batch.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        sizes(keep),
        [(0, 4), (0, 4), (0, 2), (1, 4), (1, 4), (1, 2)]
    );
    assert_eq!(
        sizes(config(2)),
        [(0, 4), (0, 4), (1, 4), (1, 4), (2, 4), (2, 4)]
    );
}

#[test]
fn a_batch_is_the_augmentation_of_its_photos() {
    let plain = LoaderConfig {
        augmentation: Augmentation::None,
        ..config(2)
    };
    let made = Made::new(12, &[]);
    let rule = Preprocessing {
        resize: mobilenet_photos::Resize::CentralCrop { fraction: 1.0 },
        ..Preprocessing::slim(8)
    };
    for batch in batches(Made::new(12, &[]), plain, 0, 3) {
        for (pixels, &index) in batch.images.chunks_exact(8 * 8 * 3).zip(&batch.indices) {
            let expected = rule.pixels(&made.load(index).unwrap()).unwrap();
            for (found, expected) in pixels.iter().zip(expected) {
                assert!((found - expected).abs() < 2e-6);
            }
        }
    }
}

/// Files that are not photos are reported by name, and batches stay full.
#[test]
fn corrupt_photos_are_skipped_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Option<&[u8]>| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => Photo::from_pixel(20, 10, image::Rgb([9, 99, 200]))
                .save(&path)
                .unwrap(),
        }
    };
    for number in 0..9 {
        write(&format!("cat/{number}.png"), None);
        write(&format!("dog/{number}.jpg"), None);
    }
    write("dog/not.jpg", Some(b"no photo at all"));
    let good = std::fs::read(dir.path().join("cat/0.png")).unwrap();
    write("cat/half.png", Some(&good[..good.len() / 2]));

    let dataset = Arc::new(image_folder::open_whole(dir.path()).unwrap());
    let mut loader = Loader::new(dataset.clone(), config(2), 0).unwrap();
    for _ in 0..3 * loader.steps_per_epoch() {
        let batch = loader.next_batch().unwrap();
        assert_eq!(batch.len(), 4);
        for &index in &batch.indices {
            let name = dataset.name(index);
            assert!(!name.ends_with("not.jpg") && !name.ends_with("half.png"));
        }
    }
    let mut names: Vec<&Path> = loader
        .skipped()
        .iter()
        .map(|skipped| Path::new(&skipped.name))
        .map(|path| path.strip_prefix(dir.path()).unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [Path::new("cat/half.png"), Path::new("dog/not.jpg")]);
    assert!(
        loader
            .skipped()
            .iter()
            .any(|one| one.reason.contains("not a JPEG"))
    );

    let strict = LoaderConfig {
        max_skipped_share: 0.09,
        ..config(2)
    };
    let mut loader = Loader::new(dataset, strict, 0).unwrap();
    let error = (0..5)
        .find_map(|_| loader.next_batch().err())
        .unwrap()
        .to_string();
    assert!(error.contains("2 of 20 photos cannot be used"), "{error}");
    assert!(error.contains("allowed share of 0.09"), "{error}");
}

#[test]
fn no_usable_photo_is_an_error_whatever_is_allowed() {
    let made = Made::new(6, &[0, 1, 2, 3, 4, 5]);
    let lenient = LoaderConfig {
        max_skipped_share: 1.0,
        ..config(2)
    };
    let mut loader = Loader::new(Arc::new(made), lenient, 0).unwrap();
    assert!(matches!(
        loader.next_batch(),
        Err(DataError::TooManySkipped { skipped: 6, .. })
    ));
}

/// If the decoder panics, only that photo is skipped.
#[test]
fn panics_are_skipped() {
    struct Panics(Made);
    impl ImageDataset for Panics {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn class_names(&self) -> &[String] {
            self.0.class_names()
        }
        fn label(&self, index: usize) -> usize {
            self.0.label(index)
        }
        fn load(&self, index: usize) -> Result<Photo, DataError> {
            assert_ne!(index, 5, "a fault of the decoder");
            self.0.load(index)
        }
        fn name(&self, index: usize) -> String {
            self.0.name(index)
        }
    }
    let mut loader = Loader::new(Arc::new(Panics(Made::new(8, &[]))), config(2), 0).unwrap();
    for _ in 0..2 {
        assert_eq!(loader.next_batch().unwrap().len(), 4);
    }
    let [skipped] = loader.skipped() else {
        panic!("{:?}", loader.skipped())
    };
    assert_eq!(skipped.name, "made 5");
    assert!(
        skipped.reason.contains("a fault of the decoder"),
        "{}",
        skipped.reason
    );
}

#[test]
fn workers_stay_within_their_bound_and_end_on_drop() {
    let dataset = Arc::new(Made::new(40, &[]));
    let mut loader = Loader::new(dataset.clone(), config(2), 0).unwrap();
    loader.next_batch().unwrap();
    // One batch was taken, two are ready, and the two workers have one each.
    let bound = 5 * 4;
    let deadline = Instant::now() + Duration::from_secs(20);
    while dataset.loads.load(Ordering::Relaxed) < bound && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(dataset.loads.load(Ordering::Relaxed), bound);
    drop(loader);
    assert_eq!(
        Arc::strong_count(&dataset),
        1,
        "a worker still holds the data set"
    );

    // Dropping the loader waits for the current photo only, not for a batch of 32.
    let slow = Made {
        pause: Duration::from_millis(100),
        ..Made::new(64, &[])
    };
    let large = LoaderConfig {
        batch_size: 32,
        ..config(3)
    };
    let loader = Loader::new(Arc::new(slow), large, 0).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let (done, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        drop(loader);
        done.send(()).unwrap();
    });
    dropped
        .recv_timeout(Duration::from_secs(2))
        .expect("the loader ends within two seconds");
}

#[test]
fn settings_that_cannot_work() {
    let reject = |images, config| {
        Loader::new(Arc::new(Made::new(images, &[])), config, 0)
            .err()
            .expect("an error")
            .to_string()
    };
    assert!(reject(3, config(1)).contains("3 photos, a batch needs 4"));
    let change = |change: fn(&mut LoaderConfig)| {
        let mut config = config(1);
        change(&mut config);
        reject(10, config)
    };
    assert!(change(|config| config.batch_size = 0).contains("batches of 0"));
    assert!(change(|config| config.resolution = 0).contains("at 0"));
    assert!(change(|config| config.part.rank = 1).contains("rank 1 of 1"));
    assert!(change(|config| config.max_skipped_share = f64::NAN).contains("NaN"));
    assert!(change(|config| config.normalization.std = [1.0, 0.0, 1.0]).contains("deviation"));
    let keep = LoaderConfig {
        drop_last: false,
        ..config(1)
    };
    assert!(reject(0, keep).contains("0 photos"));
}

fn evaluate(dataset: Made, workers: usize, share: f64) -> EvaluationBatches {
    let config = EvaluationConfig {
        part: mobilenet_data::Part::WHOLE,
        batch_size: 4,
        preprocessing: Preprocessing::slim(8),
        workers,
        max_skipped_share: share,
    };
    EvaluationBatches::new(Arc::new(dataset), config).unwrap()
}

#[test]
fn evaluation_sees_every_photo_once_by_the_rule() {
    let made = Made::new(10, &[]);
    let all: Result<Vec<Batch>, _> = evaluate(Made::new(10, &[]), 3, 0.0).collect();
    let all = all.unwrap();
    assert_eq!(all.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert!(all.iter().flat_map(|batch| batch.indices.clone()).eq(0..10));
    for batch in &all {
        for (pixels, &index) in batch.images.chunks_exact(8 * 8 * 3).zip(&batch.indices) {
            let photo = made.load(index).unwrap();
            assert_eq!(pixels, Preprocessing::slim(8).pixels(&photo).unwrap());
        }
    }
    let again: Result<Vec<Batch>, _> = evaluate(Made::new(10, &[]), 1, 0.0).collect();
    assert!(again.unwrap() == all);
}

#[test]
fn evaluation_leaves_out_broken_photos() {
    let mut batches = evaluate(Made::new(10, &[1, 4, 5, 6, 7]), 2, 0.5);
    let indices: Vec<usize> = batches
        .by_ref()
        .flat_map(|batch| batch.unwrap().indices)
        .collect();
    assert_eq!(indices, [0, 2, 3, 8, 9]);
    assert_eq!(batches.skipped().len(), 5);
    assert_eq!(batches.skipped()[0].name, "made 1");

    let mut strict = evaluate(Made::new(10, &[1, 4, 5]), 2, 0.2);
    assert!(strict.next().unwrap().is_ok());
    assert!(matches!(
        strict.next(),
        Some(Err(DataError::TooManySkipped { skipped: 3, .. }))
    ));
    assert!(strict.next().is_none());
}

/// Batches are large. So their memory is reused, not allocated at each step.
#[test]
fn memory_that_is_given_back_is_used_again() {
    let mut loader = Loader::new(Arc::new(Made::new(64, &[])), config(2), 0).unwrap();
    let mut places = BTreeSet::new();
    for _ in 0..200 {
        let batch = loader.next_batch().unwrap();
        places.insert(batch.images.as_ptr().addr());
        loader.give_back(batch);
    }
    // Two batches of the workers, two ready ones, and one taken.
    assert!(places.len() <= 5, "{} places", places.len());
}
