//! Quantised files in their own integers, through the program. The expected hashes are LiteRT's,
//! from the model's `golden/integers.txt`.

use std::fs::File;
use std::io::Read;

use crate::support::{Folder, Predict, golden, json, read_npy, run, stdout, write_npy};
use image::RgbImage;
use mobilenet::model::Array;
use mobilenet::model::npy::{read_as, write_as};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// Copies a quantised file from an archive to a folder. Returns its path.
fn weights(folder: &Folder, archive: &str, name: &str) -> String {
    let mut archive = ZipArchive::new(File::open(golden(archive)).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut file = archive.by_name(name).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let path = folder.path(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// LiteRT's hash of the output of a file's computing layer, counted from the end.
fn expected(name: &str, family: &str, from_end: usize) -> String {
    let text = std::fs::read_to_string(golden("integers.txt")).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains(&format!(" {name} {family} ")))
        .unwrap();
    line.split(' ').rev().nth(from_end).unwrap().to_string()
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn pattern(count: usize) -> Vec<u8> {
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..count as u32).map(byte).collect()
}

fn signed(bytes: Vec<u8>) -> Vec<i8> {
    bytes.into_iter().map(|byte| byte as i8).collect()
}

fn unsigned(values: &[i8]) -> Vec<u8> {
    values.iter().map(|&value| value as u8).collect()
}

#[test]
fn raw_integers_have_litert_s_bits() {
    let folder = Folder::new();
    let predict = Predict::new(
        &folder,
        &weights(&folder, "tflite_files.zip", "int8.tflite"),
    );
    let images = Array::new([1, 96, 96, 3], signed(pattern(96 * 96 * 3))).unwrap();
    write_as(predict.input.as_ref(), &images).unwrap();
    for family in ["reference", "xnnpack"] {
        let raw = ["--raw", "--arithmetic", family];
        let predict = |endpoint: &[&str]| -> Array<i8> {
            predict.succeed(&[&raw, endpoint].concat());
            read_as(predict.output.as_ref()).unwrap()
        };
        let logits = predict(&[]);
        assert_eq!(logits.shape(), [1, 10]);
        let found = hash(&unsigned(logits.values()));
        assert_eq!(found, expected("int8.tflite", family, 0));
        let dilated = "--endpoint Conv2d_13_pointwise --output-stride 16";
        let dilated: Vec<&str> = dilated.split(' ').collect();
        assert_eq!(predict(&dilated).shape(), [1, 6, 6, 64]);
        let map = predict(&["--endpoint", "Conv2d_13_pointwise"]);
        assert_eq!(map.shape(), [1, 3, 3, 64]);
        let found = hash(&unsigned(map.values()));
        assert_eq!(found, expected("int8.tflite", family, 2));
    }
}

/// `count` numbers from -1 to 1.
fn numbers(count: usize) -> Vec<f32> {
    let bytes = pattern(count).into_iter();
    bytes.map(|byte| f32::from(byte) / 127.5 - 1.0).collect()
}

#[test]
fn a_network_of_numbers_reads_and_writes_numbers() {
    let folder = Folder::new();
    let predict = Predict::new(
        &folder,
        &weights(&folder, "integer_files.zip", "numbers.tflite"),
    );
    write_npy(&predict.input, &[1, 16, 16, 3], &numbers(16 * 16 * 3));
    predict.succeed(&["--raw"]);
    let (shape, values) = read_npy(&predict.output);
    assert_eq!(shape, [1, 10]);
    // The softmax's integers, in steps of 1/256.
    let integers = values.iter().map(|&value| (value * 256.0 - 128.0) as i8);
    let integers: Vec<i8> = integers.collect();
    let found = hash(&unsigned(&integers));
    assert_eq!(found, expected("numbers.tflite", "xnnpack", 0));
}

#[test]
fn integers_as_numbers_are_not_far_from_the_dequantised_network() {
    let folder = Folder::new();
    let predict = Predict::new(
        &folder,
        &weights(&folder, "tflite_files.zip", "int8.tflite"),
    );
    write_npy(&predict.input, &[2, 96, 96, 3], &numbers(2 * 96 * 96 * 3));
    let predict = |precision: &str| {
        predict.succeed(&["--precision", precision]);
        let (shape, values) = read_npy(&predict.output);
        assert_eq!(shape, [2, 10]);
        values
    };
    let (numbers, integers) = (predict("f32"), predict("int8"));
    // Every logit is a multiple of the output's scale, 0.0101.
    let scale = 0.010_097_803;
    assert!(
        integers
            .iter()
            .all(|v| ((v / scale).round() * scale - v).abs() < 1e-5)
    );
    // The network's weights are random, and its input is noise.
    let errors = numbers.iter().zip(&integers).map(|(a, b)| (a - b).abs());
    assert!(errors.fold(0.0, f32::max) < 1.0);
    assert_ne!(numbers, integers);
}

#[test]
fn photos_are_classified_in_integers() {
    let folder = Folder::new();
    let weights = weights(&folder, "tflite_files.zip", "int8.tflite");
    let photo = folder.path("photo.png");
    RgbImage::from_fn(120, 90, |x, y| [x as u8, y as u8, 77].into())
        .save(&photo)
        .unwrap();
    let classify = |precision: &str| {
        json(&[
            "classify",
            &photo,
            "--weights",
            &weights,
            "--precision",
            precision,
            "--json",
        ])
    };
    let (numbers, integers) = (classify("f32"), classify("int8"));
    let probability =
        |lines: &[serde_json::Value]| lines[0]["predictions"][0]["probability"].as_f64().unwrap();
    let (numbers, integers) = (probability(&numbers), probability(&integers));
    assert!((0.1..1.0).contains(&integers) && numbers != integers);
}

#[test]
fn what_has_no_integers_says_so() {
    let folder = Folder::new();
    let fail = |weights: &str, options: &[&str], expected: &str| {
        let predict = Predict::new(&folder, weights);
        write_npy(&predict.input, &[1, 96, 96, 3], &[0.0; 96 * 96 * 3]);
        let message = predict.fail(options);
        assert!(message.contains(expected), "{message}");
    };
    let float = golden("hugging_face_tiny");
    let int8 = ["--precision", "int8"];
    fail(&float, &int8, "no network of integers");
    fail(&float, &["--arithmetic", "reference"], "--precision int8");
    fail("mobilenet_v1_1.0_224", &["--raw"], "quantised TFLite");
    let weights = weights(&folder, "tflite_files.zip", "int8.tflite");
    let values = "expected i8 values (|i1), found f32";
    fail(&weights, &["--raw"], values);
    let unknown = [&int8[..], &["--endpoint", "Conv2d_14"]].concat();
    fail(&weights, &unknown, "no endpoint `Conv2d_14`");
    let stride = [&int8[..], &["--output-stride", "16"]].concat();
    fail(&weights, &stride, "--output-stride needs --endpoint");
    let eager = [&int8[..], &["--engine", "eager"]].concat();
    fail(&weights, &eager, "--engine eager");
}

#[test]
fn inspect_shows_scales() {
    let folder = Folder::new();
    let weights = weights(&folder, "tflite_files.zip", "int8.tflite");
    let layers = &json(&["inspect", &weights, "--json"])[0]["integers"];
    let layers = layers.as_array().unwrap();
    // 27 layers, the pool and the classifier.
    assert_eq!(layers.len(), 29);
    assert_eq!(layers[0]["name"], "Conv2d_0");
    assert_eq!(layers[0]["type"], "i8");
    assert_eq!(layers[0]["weights"]["scales"], 2);
    assert_eq!(layers[28]["name"], "Logits");
    assert_eq!(layers[28]["zero_point"], -55);
    let output = run(&["inspect", &weights]);
    assert!(stdout(&output).contains("weights' scales"));
}

#[test]
fn bench_measures_integers() {
    let line = &json(&[
        "bench",
        "--precision",
        "int8",
        "--width",
        "0.25",
        "--resolution",
        "64",
        "--repeat",
        "2",
        "--json",
    ])[0];
    assert_eq!(line["precision"], "int8");
    assert!(line["min_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn accuracy_is_measured_in_integers() {
    let folder = Folder::new();
    let weights = weights(&folder, "tflite_files.zip", "int8.tflite");
    let labels = folder.path("labels.txt");
    for seed in 0..4 {
        crate::support::write_photo(folder.path(&format!("photos/{seed}.png")), seed);
    }
    // Whatever the network says is right, if all classes are given in turn.
    let evaluate = |class: usize| {
        std::fs::write(&labels, format!("{class}\n").repeat(4)).unwrap();
        json(&[
            "eval",
            "--weights",
            &weights,
            "--data",
            &folder.path("photos"),
            "--labels",
            &labels,
            "--label-offset",
            "0",
            "--precision",
            "int8",
            "--json",
        ])
        .swap_remove(0)
    };
    let lines: Vec<_> = (0..10).map(evaluate).collect();
    assert!(lines.iter().all(|line| line["images"] == 4));
    let accuracies = lines.iter().map(|line| line["accuracy"].as_f64().unwrap());
    assert!((accuracies.sum::<f64>() - 1.0).abs() < 1e-9);
}
