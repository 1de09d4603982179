//! Reads data sets from valid files: folders, lists, IDX, and TFRecords that TensorFlow wrote
//! (`golden/tfrecord.py`).

#[allow(unreachable_pub, reason = "shared with the model's tests")]
#[path = "../../../model/tests/support/skipped.rs"]
mod skipped;
use std::io::Write;
use std::path::{Path, PathBuf};

use mobilenet_data::fashion_mnist;
use mobilenet_data::idx::IdxImages;
use mobilenet_data::tfrecord::{TfRecordOptions, TfRecords};
use mobilenet_data::{DataError, ImageDataset, Photo, csv, image_folder, photo_list};
use skipped::skipped;

/// A photo of one colour, by which tests recognise it.
fn write_photo(path: &Path, red: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    Photo::from_pixel(4, 3, image::Rgb([red, 0, 7]))
        .save(path)
        .unwrap();
}

fn red(dataset: &dyn ImageDataset, index: usize) -> u8 {
    dataset.load(index).unwrap().get_pixel(0, 0).0[0]
}

fn message<T>(result: Result<T, DataError>) -> String {
    result.err().expect("an error").to_string()
}

fn labels(dataset: &dyn ImageDataset) -> Vec<usize> {
    (0..dataset.len())
        .map(|index| dataset.label(index))
        .collect()
}

#[test]
fn folder_with_train_and_test() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_photo(&at("train/rose/b.png"), 1);
    write_photo(&at("train/rose/a.PNG"), 2);
    write_photo(&at("train/aster/c.bmp"), 3);
    write_photo(&at("validation/rose/d.png"), 4);
    std::fs::write(at("train/rose/notes.txt"), "no photo").unwrap();
    std::fs::create_dir(at("train/.cache")).unwrap();

    let splits = image_folder::open(dir.path()).unwrap();
    assert_eq!(splits.train.class_names(), ["aster", "rose"]);
    assert_eq!(splits.test.class_names(), ["aster", "rose"]);
    assert_eq!(labels(&splits.train), [0, 1, 1]);
    assert_eq!([0, 1, 2].map(|i| red(&splits.train, i)), [3, 2, 1]);
    assert_eq!(labels(&splits.test), [1]);
    assert!(splits.test.name(0).ends_with("d.png"));

    write_photo(&at("validation/tulip/e.png"), 5);
    let error = message(image_folder::open(dir.path()));
    assert!(
        error.contains("one of the 2 classes of training"),
        "{error}"
    );
    assert!(error.contains("the folder tulip"), "{error}");
}

#[test]
fn folder_without_test_part_is_split() {
    for root in ["", "train/"] {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..11 {
            write_photo(&dir.path().join(format!("{root}a/{number:02}.png")), number);
        }
        for number in 20..24 {
            write_photo(&dir.path().join(format!("{root}b/{number}.png")), number);
        }
        let splits = image_folder::open(dir.path()).unwrap();
        assert_eq!([0, 1].map(|i| red(&splits.test, i)), [4, 9]);
        assert_eq!(splits.test.len() + splits.train.len(), 15);
        assert_eq!(splits.test.class_names(), ["a", "b"]);
        let train: Vec<u8> = (0..13).map(|i| red(&splits.train, i)).collect();
        assert_eq!(train, [0, 1, 2, 3, 5, 6, 7, 8, 10, 20, 21, 22, 23]);
    }
}

#[test]
fn folders_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let error = message(image_folder::open(dir.path()));
    assert!(error.contains("folders of photos"), "{error}");
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    let error = message(image_folder::open(dir.path()));
    assert!(error.contains("empty: expected photos"), "{error}");
    write_photo(&dir.path().join("empty/one.png"), 1);
    assert_eq!(image_folder::open_whole(dir.path()).unwrap().len(), 1);
    let error = message(image_folder::open(dir.path()));
    assert!(error.contains("a folder `test`"), "{error}");
    assert!(message(image_folder::open(Path::new("nowhere"))).contains("nowhere"));
}

#[test]
fn csv_lists() {
    let dir = tempfile::tempdir().unwrap();
    write_photo(&dir.path().join("a.png"), 1);
    write_photo(&dir.path().join("deep/b, c.png"), 2);
    let list = dir.path().join("list.csv");
    let open = |text: &str, names: Option<&[String]>| {
        std::fs::write(&list, text).unwrap();
        csv::open(&list, names)
    };
    let named = open(
        "Path,Label\na.png,tulip\n\n\"deep/b, c.png\", \"a \"\"wild\"\" rose\"\r\n",
        None,
    )
    .unwrap();
    assert_eq!(named.class_names(), ["a \"wild\" rose", "tulip"]);
    assert_eq!(labels(&named), [1, 0]);
    assert_eq!([0, 1].map(|i| red(&named, i)), [1, 2]);

    let numbered = open("a.png,2\ndeep/b, c.png,0\n", None).unwrap();
    assert_eq!(numbered.class_names(), ["0", "1", "2"]);
    assert_eq!(labels(&numbered), [2, 0]);

    let names = ["x".to_string(), "y".to_string()];
    assert_eq!(labels(&open("a.png,y\n", Some(&names)).unwrap()), [1]);
    assert_eq!(labels(&open("a.png,1\n", Some(&names)).unwrap()), [1]);
    let error = message(open("a.png,x\na.png,z\n", Some(&names)));
    assert!(
        error.contains("line 2: expected one of the 2 classes, found `z`"),
        "{error}"
    );
    assert!(message(open("a.png,2\n", Some(&names))).contains("below 2, found 2"));
    assert!(message(open("a.png\n", None)).contains("line 1: expected `path,label`"));
    assert!(message(open("path,label\n", None)).contains("found none"));
    assert!(message(open("a.png,99999999\n", None)).contains("class indices below"));
    // Without a heading, the first line is a photo, even if the file does not exist.
    let missing = open("gone.png,0\n", None).unwrap();
    assert!(message(missing.load(0)).contains("gone.png"));
}

#[test]
fn photos_with_a_list_of_labels() {
    let dir = tempfile::tempdir().unwrap();
    for (name, red) in [("v2.png", 2), ("v1.png", 1), ("v3.png", 3)] {
        write_photo(&dir.path().join(name), red);
    }
    let list = dir.path().join("labels.txt");
    std::fs::write(&list, "5\n0\n3\n\n").unwrap();
    let photos = photo_list::open(dir.path(), &list, None).unwrap();
    assert_eq!(labels(&photos), [5, 0, 3]);
    assert_eq!([0, 1, 2].map(|i| red(&photos, i)), [1, 2, 3]);
    assert_eq!(photos.class_names().len(), 6);
    std::fs::write(&list, "5\n0\n").unwrap();
    let error = message(photo_list::open(dir.path(), &list, None));
    assert!(error.contains("each of the 3 photos"), "{error}");
    assert!(error.contains("found 2 lines"), "{error}");
    std::fs::write(&list, "5\nrose\n1\n").unwrap();
    let error = message(photo_list::open(dir.path(), &list, None));
    assert!(
        error.contains("line 2: expected a class index, found `rose`"),
        "{error}"
    );
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tfrecord")
}

#[test]
fn records_that_tensorflow_wrote() {
    let text = std::fs::read_to_string(golden().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = expected["records"].as_array().unwrap();
    let records = TfRecords::open_split(&golden(), "train", TfRecordOptions::default()).unwrap();
    assert_eq!(records.len(), expected.len());
    assert_eq!(
        records.class_names(),
        ["0", "tench", "goldfish", "great white shark"]
    );
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(
            records.label(index) as u64,
            expected["label"].as_u64().unwrap()
        );
        let name = &records.class_names()[records.label(index)];
        assert_eq!(name.as_str(), expected["text"].as_str().unwrap());
        let pixels: Vec<u64> = expected["pixels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_u64().unwrap())
            .collect();
        let photo = records.load(index).unwrap();
        assert_eq!(photo.width(), 5);
        let found: Vec<u64> = photo.as_raw().iter().map(|&value| value.into()).collect();
        assert_eq!(found, pixels);
    }
    assert!(
        records
            .name(3)
            .contains("train-00001-of-00002, record at byte 12")
    );
}

#[test]
fn labels_of_records_are_moved_and_checked() {
    let open = |options| TfRecords::open_split(&golden(), "train", options);
    let moved = open(TfRecordOptions {
        label_offset: 1,
        ..TfRecordOptions::default()
    })
    .unwrap();
    assert_eq!(labels(&moved), [0, 1, 2, 0, 1, 2]);
    assert_eq!(moved.class_names()[0], "tench");
    let error = message(open(TfRecordOptions {
        label_offset: 2,
        ..TfRecordOptions::default()
    }));
    assert!(error.contains("expected a label from 2"), "{error}");
    let error = message(open(TfRecordOptions {
        class_names: Some(vec!["only".into(), "two".into()]),
        ..TfRecordOptions::default()
    }));
    assert!(error.contains("of 2 classes, found 2"), "{error}");
    let error = message(TfRecords::open_split(
        &golden(),
        "validation",
        TfRecordOptions::default(),
    ));
    assert!(error.contains("expected files validation-*"), "{error}");
}

fn idx(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend_from_slice(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn idx_images_plain_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..2 * 3 * 4).map(|value| value * 10).collect();
    for compress in [false, true] {
        let write = |name: &str, bytes: Vec<u8>| {
            let path = dir.path().join(name);
            let bytes = if compress { gzip(&bytes) } else { bytes };
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let images = write("images", idx(&[2, 3, 4], &pixels));
        let labels_file = write("labels", idx(&[2], &[4, 1]));
        let dataset = IdxImages::open(&images, &labels_file, None).unwrap();
        assert_eq!(labels(&dataset), [4, 1]);
        assert_eq!(dataset.class_names().len(), 5);
        let photo = dataset.load(1).unwrap();
        assert_eq!(photo.dimensions(), (4, 3));
        assert_eq!(photo.get_pixel(1, 2).0, [(12 + 2 * 4 + 1) * 10; 3]);
    }
}

#[test]
fn fashion_mnist_of_debian() {
    match fashion_mnist::open() {
        Ok(splits) => {
            assert_eq!([splits.train.len(), splits.test.len()], [60_000, 10_000]);
            // As in the paper, all classes have the same number of images.
            for (part, each) in [(&splits.train, 6000), (&splits.test, 1000)] {
                for class in 0..10 {
                    let count = labels(part).iter().filter(|&&label| label == class).count();
                    assert_eq!(count, each);
                }
            }
            // The first image shows an ankle boot: its corner is empty and its middle is not.
            assert_eq!(
                splits.train.class_names()[splits.train.label(0)],
                "Ankle boot"
            );
            let photo = splits.train.load(0).unwrap();
            assert_eq!(photo.dimensions(), (28, 28));
            assert_eq!(photo.get_pixel(0, 0).0, [0; 3]);
            assert!(photo.get_pixel(14, 14).0[0] > 100);
        }
        Err(error @ DataError::Missing { .. }) => skipped(error),
        Err(error) => panic!("{error}"),
    }
    let error = message(fashion_mnist::open_in(Path::new("nowhere")));
    assert!(error.contains("dataset-fashion-mnist"), "{error}");
}
