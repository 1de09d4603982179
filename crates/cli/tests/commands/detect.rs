//! `detect`: what is printed and drawn, and what a broken photo or detector leaves behind.

use std::fs;
use std::path::Path;

use crate::support::{Folder, error, json, lines, run, stderr, stdout, write_photo};
use image::RgbImage;
use serde_json::Value;

/// A detector of random weights, of the tests of `detect`.
fn weights() -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../detect/tests/golden");
    golden.join("tiny_ssd.tflite").display().to_string()
}

fn detections(line: &Value) -> &Vec<Value> {
    line["detections"].as_array().unwrap()
}

#[test]
fn boxes_are_printed_in_pixels() {
    let folder = Folder::new();
    let photo = folder.path("a.png");
    write_photo(&photo, 3);
    let found = json(&["detect", &photo, "--weights", &weights(), "--json"]);
    let [line] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(line["photo"], photo.as_str());
    assert!(line["milliseconds"].as_f64().unwrap() > 0.0);
    let all = detections(line);
    assert!(!all.is_empty() && all.len() <= 20);
    for one in all {
        let score = one["score"].as_f64().unwrap();
        let sides: Vec<f64> = one["box"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        let [top, left, bottom, right] = sides[..] else {
            panic!("{one}")
        };
        assert!(
            (0.5..=1.0).contains(&score) && one["class"].as_u64().unwrap() >= 1,
            "{one}"
        );
        // The photo has 88 rows and 96 columns.
        assert!(0.0 <= top && top < bottom && bottom <= 88.0, "{one}");
        assert!(0.0 <= left && left < right && right <= 96.0, "{one}");
        assert!(one["label"].is_null());
    }
    assert!(all.iter().any(|one| one["box"][3].as_f64().unwrap() > 48.0));
    let text = run(&["detect", &photo, "--weights", &weights()]);
    assert!(stdout(&text).contains(" %  class "), "{}", stdout(&text));
}

#[test]
fn threshold_top_rule_and_precision_are_obeyed() {
    let folder = Folder::new();
    let photo = folder.path("a.png");
    write_photo(&photo, 5);
    let found = |arguments: &[&str]| {
        let common = ["detect", &photo, "--weights", &weights(), "--json"];
        detections(&json(&[&common, arguments].concat())[0]).clone()
    };
    let all = found(&[]);
    assert_eq!(found(&["--top", "2"]), all[..2]);
    let best = all[0]["score"].as_f64().unwrap();
    let limit = format!("{}", best + 1e-3);
    if best < 0.999 {
        assert!(found(&["--threshold", &limit]).is_empty());
    }
    let low = found(&["--threshold", "0.3"]);
    assert!(low.len() >= all.len() && low[0] == all[0]);
    // Classes that do not hide each other leave more.
    let per_class = found(&["--suppression", "per-class", "--top", "9999"]);
    assert!(per_class.len() > found(&["--suppression", "best-class", "--top", "9999"]).len());
    assert!(!found(&["--suppression", "soft"]).is_empty());
    assert!(!found(&["--precision", "f32"]).is_empty());
}

#[test]
fn a_folder_is_drawn_and_a_broken_photo_told() {
    let folder = Folder::new();
    let root = folder.path("photos");
    for (seed, name) in ["b.png", "a.png", "deep/a.png"].iter().enumerate() {
        write_photo(Path::new(&root).join(name), seed as u32);
    }
    fs::write(Path::new(&root).join("c.jpg"), "no photo").unwrap();
    let drawn = folder.path("drawn");
    let output = run(&[
        "detect",
        &root,
        "--weights",
        &weights(),
        "--json",
        "--draw",
        &drawn,
        "--threads",
        "2",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let found = lines(&output);
    let names: Vec<&str> = found
        .iter()
        .map(|line| line["photo"].as_str().unwrap())
        .map(|name| name.rsplit_once("photos").unwrap().1)
        .collect();
    assert_eq!(
        names.map_slashes(),
        ["/a.png", "/b.png", "/c.jpg", "/deep/a.png"]
    );
    assert!(found[2]["error"].as_str().unwrap().contains("c.jpg"));
    assert!(stderr(&output).contains("1 of 4 photos could not be read"));
    let mut files: Vec<_> = fs::read_dir(&drawn)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["a.png", "a_2.png", "b.png"]);
    let open = |path: String| -> RgbImage { image::open(path).unwrap().to_rgb8() };
    let (photo, picture) = (
        open(format!("{root}/a.png")),
        open(format!("{drawn}/a.png")),
    );
    assert_eq!(photo.dimensions(), picture.dimensions());
    assert_ne!(photo, picture);
}

/// Paths with the same separator everywhere.
trait Slashes {
    fn map_slashes(self) -> Vec<String>;
}

impl Slashes for Vec<&str> {
    fn map_slashes(self) -> Vec<String> {
        self.iter().map(|name| name.replace('\\', "/")).collect()
    }
}

#[test]
fn wrong_weights_and_usage_are_told_apart() {
    let folder = Folder::new();
    let photo = folder.path("a.png");
    write_photo(&photo, 1);
    let found = error(&["detect", &photo, "--weights", &photo]);
    assert!(found.contains("none of the formats"), "{found}");
    for arguments in [
        &["detect", &photo][..],
        &["detect", "--weights", "w"],
        &["detect", &photo, "--weights", "w", "--threshold", "2"],
        &["detect", &photo, "--weights", "w", "--top", "0"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
