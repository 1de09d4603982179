//! `train --task detection`, `eval --task detection`, and `detect` with what was trained.

use crate::support::{Folder, error, json, run, stderr, stdout, write_boxes};
use serde_json::Value;

fn train<'a>(data: &'a str, out: &'a str) -> Vec<&'a str> {
    let fixed = "train --task detection --width 0.25 --resolution 64 --batch-size 2 --threads 2";
    let mut arguments: Vec<&str> = fixed.split(' ').collect();
    arguments.extend(["--data", data, "--out", out]);
    arguments
}

#[test]
fn trains_evaluates_and_detects() {
    let folder = Folder::new();
    let (data, out) = (write_boxes(&folder), folder.path("out"));
    let lines = json(
        &[
            &train(&data, &out)[..],
            &["--steps", "6", "--log-every", "3", "--json"],
        ]
        .concat(),
    );
    let steps: Vec<&Value> = lines.iter().filter(|line| line["step"].is_u64()).collect();
    assert_eq!(steps.len(), 2);
    assert!(
        steps
            .iter()
            .all(|line| line["loss"].as_f64().unwrap() > 0.0)
    );
    let epochs: Vec<&Value> = lines.iter().filter(|line| line["epoch"].is_u64()).collect();
    assert_eq!(epochs.len(), 2);
    assert!(
        epochs
            .iter()
            .all(|line| line["ap"].is_f64() && line["ap_50"].is_f64())
    );

    let model = folder.path("out/model.safetensors");
    let eval = [
        "eval",
        "--task",
        "detection",
        "--weights",
        &model,
        "--data",
        &data,
    ];
    let [line] = &json(&[&eval[..], &["--json"]].concat())[..] else {
        panic!("one line");
    };
    assert_eq!(
        (line["images"].as_u64(), line["objects"].as_u64()),
        (Some(2), Some(2))
    );
    for name in [
        "ap",
        "ap_50",
        "ap_75",
        "ar_1",
        "ar_10",
        "ar_100",
        "voc_ap",
        "voc_ap_11",
        "images_per_second",
    ] {
        assert!(line[name].is_f64(), "{name}: {line}");
    }
    // No box is as large.
    assert!(
        line["ap_large"].is_null() && line["ar_large"].is_null(),
        "{line}"
    );
    assert_eq!(line["ap"], epochs[1]["ap"]);
    let report = folder.path("report");
    let text = run(&[&eval[..], &["--report", &report]].concat());
    let text = stdout(&text);
    for part in [
        "2 photos with 2 objects",
        "AP    0.50 to 0.95",
        "VOC's AP, 11 points",
        "report.html",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        std::fs::read_to_string(folder.path("report/report.html"))
            .unwrap()
            .contains("VOC AP")
    );

    let photo = folder.path("data/images/val/0.png");
    let found = json(&[
        "detect",
        &photo,
        "--weights",
        &model,
        "--threshold",
        "0.0",
        "--json",
    ]);
    let all = found[0]["detections"].as_array().unwrap();
    assert!(!all.is_empty());
    let names = ["red", "blue"];
    assert!(
        all.iter()
            .all(|one| names.contains(&one["label"].as_str().unwrap())),
        "{all:?}"
    );

    assert!(error(&[&train(&data, &out)[..], &["--steps", "6"]].concat()).contains("resume it"));
    let output = run(&[&train(&data, &out)[..], &["--steps", "6", "--resume"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    // Nothing is left to be done but to say how good it is.
    assert!(stdout(&output).contains("VOC's AP"), "{}", stdout(&output));
}

#[test]
fn options_of_classifiers_are_wrong_usage() {
    let folder = Folder::new();
    let (data, out) = (write_boxes(&folder), folder.path("out"));
    for option in [&["--quantize"][..], &["--head"], &["--replicas", "async"]] {
        let output = run(&[&train(&data, &out)[..], option].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(option[0]), "{text}");
    }
    let output = run(&[
        "eval",
        "--task",
        "detection",
        "-w",
        "x",
        "-d",
        &data,
        "--predictions",
        "p.csv",
    ]);
    assert_eq!(output.status.code(), Some(2));
    let weights = folder.path("out/none.safetensors");
    let text = error(&["eval", "--task", "detection", "-w", &weights, "-d", &data]);
    assert!(text.contains("none.safetensors"), "{text}");
    let empty = folder.path("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let text = error(&train(&empty, &out));
    assert!(
        text.contains("VOC's .xml, COCO's .json or YOLO's .txt"),
        "{text}"
    );
}

#[test]
fn the_photos_of_a_step_fall_into_shards() {
    let folder = Folder::new();
    let (data, out) = (write_boxes(&folder), folder.path("out"));
    let text = error(&[&train(&data, &out)[..], &["--shards", "3"]].concat());
    assert!(
        text.contains("--shards 3 is no divisor of --batch-size 2"),
        "{text}"
    );
    let two = [&train(&data, &out)[..], &["--shards", "2", "--steps", "1"]].concat();
    let output = run(&two);
    assert!(output.status.success(), "{}", stderr(&output));
    // The number is a part of the recipe.
    let text = error(&[&train(&data, &out)[..], &["--steps", "1", "--resume"]].concat());
    assert!(text.contains("shards was 2"), "{text}");
}
