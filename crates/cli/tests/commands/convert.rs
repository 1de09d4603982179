//! Tests of `convert` between files of weights: what it reports, writes and refuses.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::support::{Folder, golden, json, read_npy, run, stderr, stdout, write_npy};
use zip::write::SimpleFileOptions;

#[test]
fn convert_reports_and_writes_half_precision() {
    let folder = Folder::new();
    let size = |dtype: &str, expected_dtype: &str| {
        let output = folder.path(&format!("{dtype}.safetensors"));
        let lines = json(&[
            "convert",
            &golden("slim_tiny.pb"),
            &output,
            "--dtype",
            dtype,
            "--json",
        ]);
        let report = &lines[0]["report"];
        assert_eq!(report["applied"].as_array().unwrap().len(), 137);
        assert_eq!(report["unused"].as_array().unwrap().len(), 2);
        assert_eq!(lines[0]["metadata"]["width"], 0.03125);
        let text = std::fs::read(&output).unwrap();
        assert!(
            String::from_utf8_lossy(&text[..4000])
                .contains(&format!("\"dtype\":\"{expected_dtype}\""))
        );
        // The written file can be read.
        assert!(run(&["inspect", &output]).status.success());
        std::fs::metadata(output).unwrap().len()
    };
    let full = size("f32", "F32");
    assert!(size("f16", "F16") < full * 7 / 10 && size("bf16", "BF16") < full * 7 / 10);

    let output = folder.path("text.safetensors");
    let result = run(&["convert", &golden("slim_tiny.pb"), &output]);
    let text = stdout(&result);
    assert!(
        text.contains("137 applied, 0 missing, 2 unused, 0 mismatched"),
        "{text}"
    );
    assert!(
        text.contains("unused final_training_ops/weights/final_weights"),
        "{text}"
    );
    let classes = json(&[
        "convert",
        &golden("slim_tiny.pb"),
        &output,
        "--classes",
        "3",
        "--resolution",
        "64",
        "--json",
    ]);
    assert_eq!(classes[0]["metadata"]["classes"], 3);
    assert_eq!(classes[0]["metadata"]["preprocessing"]["size"][0], 64);
}

#[test]
fn convert_fails_on_what_it_cannot_use() {
    let folder = Folder::new();
    let output = folder.path("out.safetensors");
    let cut = folder.path("cut.bin");
    let bytes = std::fs::read(golden("slim_tiny.pb")).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    for (input, from, expected) in [
        (cut.as_str(), None, "cut.bin"),
        (
            "no/such/file.pb",
            None,
            "is no file or folder and no known name",
        ),
        (
            &golden("timm_tiny.pth"),
            Some("safetensors"),
            "safetensors header",
        ),
    ] {
        let mut arguments = vec!["convert", input, &output];
        arguments.extend(from.iter().flat_map(|format| ["--from", format]));
        let result = run(&arguments);
        assert_eq!(result.status.code(), Some(1));
        assert!(stderr(&result).contains(expected), "{}", stderr(&result));
        assert!(!Path::new(&output).exists());
    }
}

/// Tests `--ema`, `--to`, and `--verify`. A file is written only if the verification succeeds.
#[test]
fn convert_takes_averages_verifies_and_writes_for_frameworks() {
    let folder = Folder::new();
    let (ours, slim) = (
        folder.path("ours.safetensors"),
        folder.path("slim.safetensors"),
    );
    let checkpoint = golden("slim_v2");
    let report = json(&["convert", &checkpoint, &ours, "--ema", "--json"]);
    let source = &report[0]["report"]["applied"][0]["source"];
    assert_eq!(
        source,
        "MobilenetV1/Conv2d_0/weights/ExponentialMovingAverage"
    );
    let result = run(&["convert", &ours, &slim, "--to", "slim"]);
    assert!(result.status.success(), "{}", stderr(&result));
    assert!(stdout(&result).contains("TF-slim builds it with"));
    let inspected = json(&["convert", &slim, &ours, "--json"]);
    let applied = &inspected[0]["report"]["applied"];
    assert_eq!(applied[0]["source"], "MobilenetV1/Conv2d_0/weights");

    // The reference is the output of `predict`, first with one logit changed, then unchanged.
    let (input, output) = (folder.path("input.npy"), folder.path("output.npy"));
    let pixels: Vec<f32> = (0..64 * 64 * 3)
        .map(|i| (i % 97) as f32 / 48.5 - 1.0)
        .collect();
    write_npy(&input, &[1, 64, 64, 3], &pixels);
    let predict = ["predict", "--weights", &ours, "--input", &input];
    let result = run(&[&predict[..], &["--output", &output]].concat());
    assert!(result.status.success(), "{}", stderr(&result));
    let (shape, mut logits) = read_npy(&output);
    let reference = folder.path("reference.npz");
    let npz = |logits: &[f32]| {
        let output = folder.path("logits.npy");
        write_npy(&output, &shape, logits);
        let mut npz = zip::ZipWriter::new(File::create(&reference).unwrap());
        for (name, path) in [("input.npy", &input), ("logits.npy", &output)] {
            npz.start_file(name, SimpleFileOptions::default()).unwrap();
            npz.write_all(&std::fs::read(path).unwrap()).unwrap();
        }
        npz.finish().unwrap();
    };
    let verified = folder.path("verified.safetensors");
    let arguments = ["convert", &slim, &verified, "--verify", &reference];
    logits[2] += 1.0;
    npz(&logits);
    let result = run(&arguments);
    assert_eq!(result.status.code(), Some(1));
    assert!(stderr(&result).contains("logits differ from the reference"));
    assert!(!Path::new(&verified).exists());
    logits[2] -= 1.0;
    npz(&logits);
    let result = run(&arguments);
    assert!(result.status.success(), "{}", stderr(&result));
    assert!(stdout(&result).contains("logits differ from the reference by at most"));
    assert!(Path::new(&verified).exists());
}
