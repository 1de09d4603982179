//! Tests of `convert` with files that describe their network, and of the flags that override them.

use std::path::Path;

use crate::support::{error, golden, run};
use serde_json::Value;

/// Runs a command that must succeed and returns its line of output.
fn json(arguments: &[&str]) -> Value {
    let [line] = crate::support::json(arguments).try_into().unwrap();
    line
}

#[test]
fn onnx_is_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (plain, folded, back) = (path("a.onnx"), path("b.onnx"), path("c.safetensors"));
    let weights = golden("slim_tiny.pb");
    json(&["convert", &weights, &plain, "--resolution", "96", "--json"]);
    json(&["convert", &plain, &folded, "--fold", "--json"]);
    let line = json(&["convert", &folded, &back, "--json"]);
    assert_eq!(line["metadata"]["folded"], true);
    assert_eq!(
        line["metadata"]["preprocessing"]["size"],
        serde_json::json!([96, 96])
    );
    assert_eq!(line["report"]["applied"].as_array().unwrap().len(), 56);
    assert_eq!(line["report"]["unused"], serde_json::json!([]));

    let half = ["convert", &plain, &path("d.onnx"), "--dtype", "f16"];
    assert!(error(&half).contains("f32 only"));
    assert!(!Path::new(&path("d.onnx")).exists());
}

#[test]
fn tflite_is_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (tflite, back) = (path("a.tflite"), path("b.safetensors"));
    let weights = golden("timm_tiny.pth");
    json(&[
        "convert",
        &weights,
        &tflite,
        "--resolution",
        "75x96",
        "--json",
    ]);
    let line = json(&["convert", &tflite, &back, "--json"]);
    assert_eq!(line["metadata"]["folded"], true);
    assert_eq!(line["metadata"]["padding"], "explicit");
    assert_eq!(
        line["metadata"]["preprocessing"]["size"],
        serde_json::json!([75, 96])
    );
    assert_eq!(line["report"]["applied"].as_array().unwrap().len(), 56);
    assert_eq!(line["report"]["unused"], serde_json::json!([]));

    let other = path("c.tflite");
    let half = ["convert", &weights, &other, "--dtype", "f16"];
    assert!(error(&half).contains("TFLite is written in f32 only"));
    let names = ["convert", &weights, &other, "--to", "timm"];
    assert!(error(&names).contains("not to TFLite"));
    assert!(!Path::new(&other).exists());
    let unknown = run(&["convert", &weights, &path("d.pb")]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn what_the_file_does_not_say_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (onnx, out, labels) = (path("a.onnx"), path("b.safetensors"), path("labels"));
    std::fs::write(
        &labels,
        "ant\nbee\ncat\ndog\neel\nfox\ngnu\nhen\nibis\njay\n",
    )
    .unwrap();
    let weights = golden("timm_tiny.pth");
    json(&["convert", &weights, &onnx, "--json"]);
    let overridden = [
        "convert",
        &onnx,
        &out,
        "--activation",
        "relu",
        "--padding",
        "same",
        "--range",
        "0,255",
        "--labels",
        &labels,
        "--json",
    ];
    let line = json(&overridden);
    let metadata = &line["metadata"];
    assert_eq!(metadata["activation"], "relu");
    assert_eq!(metadata["padding"], "same");
    assert_eq!(
        metadata["preprocessing"]["mean"],
        serde_json::json!([0.0, 0.0, 0.0])
    );
    assert!((metadata["preprocessing"]["std"][0].as_f64().unwrap() * 255.0 - 1.0).abs() < 1e-6);
    assert_eq!(metadata["labels"]["names"][9], "jay");

    std::fs::write(&labels, "one\ntwo\n").unwrap();
    assert!(error(&overridden).contains("2 names for 10 classes"));
    let range = ["convert", &onnx, &out, "--range", "1,1"];
    assert!(error(&range).contains("both 1"));
    let epsilon = |input: &str| run(&["convert", input, &out, "--epsilon", "0.002", "--json"]);
    let line: Value = serde_json::from_slice(&epsilon(&weights).stdout).unwrap();
    assert_eq!(line["metadata"]["batch_norm_epsilon"], 0.002);
    let folded = path("folded.onnx");
    json(&["convert", &weights, &folded, "--fold", "--json"]);
    let refused = epsilon(&folded);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is folded"));
    let mean = ["convert", &onnx, &out, "--mean", "0.1,0.2"];
    assert!(error(&mean).contains("--mean of 2 numbers for 3 channels"));
}
