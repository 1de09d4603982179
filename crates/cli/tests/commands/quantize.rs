//! Tests of `quantize`: what it writes, reports and refuses.

use std::path::Path;

use crate::support::{Folder, error, json, random_weights, run, stderr, stdout, write_photo};
use mobilenet::model::labels::Labels;

/// Weights, and a folder of 20 photos.
fn prepared() -> (Folder, String, String) {
    let folder = Folder::new();
    let (weights, photos) = (folder.path("weights.safetensors"), folder.path("photos"));
    random_weights(&weights, Some(7), Labels::Unknown);
    for seed in 0..20 {
        write_photo(
            Path::new(&photos).join(format!("{}/{seed:02}.png", seed % 3)),
            seed,
        );
    }
    (folder, weights, photos)
}

#[test]
fn it_writes_integers_and_reports_on_other_photos() {
    let (folder, weights, photos) = prepared();
    for (ending, scheme) in [
        ("tflite", "per-channel"),
        ("tflite", "per-tensor"),
        ("onnx", "per-channel"),
        ("safetensors", "per-tensor"),
    ] {
        let output = folder.path(&format!("{scheme}.{ending}"));
        let command = ["quantize", &weights, &output, "--calibration", &photos];
        let more = ["--scheme", scheme, "--plot", "--json"];
        let lines = json(&[&command[..], &more].concat());
        let report = &lines[0];
        assert_eq!(report["scheme"], scheme);
        // A fifth is held back.
        assert_eq!(report["calibration_photos"], 16);
        assert_eq!(report["test_photos"], 4);
        let layers = report["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 28);
        let decibels = layers[0]["decibels"].as_f64().unwrap();
        assert!(decibels > 20.0, "{decibels}");
        assert!(report["agreement"].as_f64().unwrap() >= 0.5);
        let plot = std::fs::read_to_string(Path::new(&output).with_extension("svg")).unwrap();
        assert!(plot.contains("Conv2d_13_pointwise") && plot.ends_with("</svg>\n"));

        // The weights are a fourth of those in f32.
        let bytes = |path: &str| std::fs::metadata(path).unwrap().len();
        assert!(bytes(&output) < bytes(&weights) * 2 / 5);
        let inspected = run(&["inspect", &output]);
        assert!(inspected.status.success(), "{}", stderr(&inspected));
        if ending == "onnx" {
            continue;
        }
        // The integers say what the float network says.
        let photo = format!("{photos}/0/00.png");
        let classify = |weights: &str, precision: &str| {
            let command = [
                "classify",
                &photo,
                "--weights",
                weights,
                "--precision",
                precision,
            ];
            json(&[&command[..], &["--json"]].concat())[0]["predictions"][0]["probability"]
                .as_f64()
                .unwrap()
        };
        let (ours, float) = (classify(&output, "int8"), classify(&weights, "f32"));
        assert!((ours - float).abs() < 0.1, "{ours} {float}");
    }
}

#[test]
fn options_change_the_network_and_the_photos() {
    let (folder, weights, photos) = prepared();
    let output = folder.path("a.bin");
    let command = [
        "quantize",
        &weights,
        &output,
        "--calibration",
        &photos,
        "--to",
        "tflite",
    ];
    let report = |more: &[&str]| {
        let lines = json(&[&command[..], &["--json"], more].concat());
        (lines[0].clone(), std::fs::read(&output).unwrap())
    };
    let (plain, bytes) = report(&[]);
    let decibels = |report: &serde_json::Value| report["layers"][27]["decibels"].as_f64().unwrap();
    let (narrow, other) = report(&["--weight-bits", "4"]);
    assert!(decibels(&narrow) < decibels(&plain) - 5.0 && other != bytes);
    for more in [
        &["--no-bias-correction"][..],
        &["--equalize", "true"],
        &["--photos", "3"],
        &["--range", "percentile", "--outliers", "0.02"],
        &["--resolution", "48"],
    ] {
        assert_ne!(report(more).1, bytes, "{more:?}");
    }
    let test = format!("{photos}/1");
    let (tested, _) = report(&["--test", &test, "--photos", "5"]);
    assert_eq!(tested["calibration_photos"], 5);
    assert_eq!(tested["test_photos"], 7);

    let result = run(&command);
    let text = stdout(&result);
    assert!(text.contains("16 photos: the same class"), "{text}");
    assert!(text.contains("Logits.Conv2d_1c_1x1"), "{text}");
}

#[test]
fn it_fails_on_what_it_cannot_use() {
    let (folder, weights, photos) = prepared();
    let output = folder.path("a.tflite");
    // Neither --to nor the ending says what to write.
    let unknown = run(&[
        "quantize",
        &weights,
        &folder.path("a.bin"),
        "--calibration",
        &photos,
    ]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("--to"), "{}", stderr(&unknown));
    let bits = [
        "quantize",
        &weights,
        &output,
        "--calibration",
        &photos,
        "--weight-bits",
        "9",
    ];
    assert_eq!(run(&bits).status.code(), Some(2));

    let empty = folder.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let none = error(&["quantize", &weights, &output, "--calibration", &empty]);
    assert!(none.contains("no photos in this folder"), "{none}");
    std::fs::write(format!("{empty}/broken.png"), "no photo").unwrap();
    let broken = error(&["quantize", &weights, &output, "--calibration", &empty]);
    assert!(
        broken.contains("none of 1 photos could be used"),
        "{broken}"
    );
    assert!(broken.contains("broken.png"), "{broken}");
    assert!(!Path::new(&output).exists());
}
