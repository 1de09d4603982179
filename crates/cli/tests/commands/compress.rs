//! Tests of `convert --compress`: what it writes, reports and refuses.

use std::path::Path;

use crate::support::{Folder, error, json, random_weights, run, stderr, stdout, write_photo};
use mobilenet::model::labels::Labels;

#[test]
fn every_command_reads_the_file() {
    let folder = Folder::new();
    let (weights, photos) = (folder.path("weights.safetensors"), folder.path("photos"));
    random_weights(&weights, Some(7), Labels::Unknown);
    for seed in 0..10 {
        write_photo(Path::new(&photos).join(format!("{seed}.png")), seed);
    }
    let output = folder.path("small.safetensors");
    let convert = ["convert", &weights, &output, "--compress"];
    let calibrated = ["int8", "--bits", "6.5", "--calibration", &photos, "--json"];
    let report = json(&[&convert[..], &calibrated].concat())[0].clone();
    let compression = &report["compression"];
    assert_eq!(compression["method"], "int8");
    assert_eq!(compression["calibration_photos"], 8);
    assert_eq!(compression["test_photos"], 2);
    assert!(compression["same_class"].as_u64().unwrap() >= 1);
    assert_eq!(report["metadata"]["folded"], true);
    let bytes = |path: &str| std::fs::metadata(path).unwrap().len();
    assert!(bytes(&output) < bytes(&weights) / 2);

    let photo = format!("{photos}/3.png");
    let probability = |weights: &str| {
        let lines = json(&["classify", &photo, "--weights", weights, "--json"]);
        lines[0]["predictions"][0]["probability"].as_f64().unwrap()
    };
    assert!((probability(&output) - probability(&weights)).abs() < 0.05);

    let inspected = json(&["inspect", &output, "--json"])[0].clone();
    let layers = inspected["compression"]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 14);
    let text = stdout(&run(&["inspect", &output]));
    assert!(text.contains("coded by int8"), "{text}");

    // Without photos, and with others to compare on.
    for method in ["palette4", "palette6", "int4"] {
        let result = run(&[&convert[..], &[method, "--test", &photos]].concat());
        assert!(result.status.success(), "{}", stderr(&result));
        let text = stdout(&result);
        assert!(
            text.contains(method) && text.contains("of 10 photos"),
            "{text}"
        );
    }
}

#[test]
fn it_refuses_what_it_cannot_write() {
    let folder = Folder::new();
    let weights = folder.path("weights.safetensors");
    random_weights(&weights, Some(7), Labels::Unknown);
    let output = folder.path("small.safetensors");
    let convert = ["convert", &weights, &output];
    for wrong in [
        &["--bits", "5"][..],
        &["--compress", "int3"],
        &["--compress", "int8", "--bits", "9"],
        &["--compress", "int8", "--to", "slim"],
    ] {
        let result = run(&[&convert[..], wrong].concat());
        assert_eq!(result.status.code(), Some(2), "{wrong:?}");
    }
    let palette = error(&[&convert[..], &["--compress", "palette4", "--bits", "4"]].concat());
    assert!(palette.contains("left out for a palette"), "{palette}");
    let onnx = folder.path("small.onnx");
    let message = error(&["convert", &weights, &onnx, "--compress", "int8"]);
    assert!(message.contains("writes safetensors"), "{message}");
    assert!(!Path::new(&output).exists() && !Path::new(&onnx).exists());
}
