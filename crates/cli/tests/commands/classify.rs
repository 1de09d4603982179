//! `classify` of many photos: what is taken, what is written, and what a run leaves behind.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::{Folder, golden, json, lines, program, random_weights, run, stderr, stdout};
use image::RgbImage;
use mobilenet::model::checkpoint::{ReadLimits, WeightsDtype, load, save};
use mobilenet::model::labels::Labels;
use serde_json::Value;

fn photo(path: &Path, red: u8) {
    RgbImage::from_fn(60, 45, |x, y| [red, x as u8, y as u8].into())
        .save(path)
        .unwrap();
}

/// Six photos in folders, one of them cut off, and files that are no photos.
fn photos(folder: &Folder) -> String {
    let root = folder.path("photos");
    let at = |name: &str| Path::new(&root).join(name);
    fs::create_dir_all(at("b/deep")).unwrap();
    for (red, name) in ["c.png", "a.jpg", "b/2.bmp", "b/1.tiff", "b/deep/x, y.ppm"]
        .iter()
        .enumerate()
    {
        photo(&at(name), 40 * red as u8);
    }
    let whole = fs::read(at("a.jpg")).unwrap();
    fs::write(at("b/cut.jpg"), &whole[..whole.len() * 9 / 10]).unwrap();
    fs::write(at("notes.txt"), "no photo").unwrap();
    root
}

const NAMES: [&str; 6] = [
    "a.jpg",
    "b/1.tiff",
    "b/2.bmp",
    "b/cut.jpg",
    "b/deep/x, y.ppm",
    "c.png",
];

fn classify(arguments: &[&str]) -> Output {
    let weights = golden("hugging_face_tiny");
    let common = ["classify", "--weights", &weights, "--threads", "2"];
    run(&[&common, arguments].concat())
}

fn names(root: &str, lines: &[Value]) -> Vec<String> {
    let name = |line: &Value| {
        let path = line["photo"].as_str().unwrap().to_string();
        path.strip_prefix(root).unwrap()[1..].replace('\\', "/")
    };
    lines.iter().map(name).collect()
}

#[test]
fn a_folder_is_classified_in_order_with_a_summary() {
    let folder = Folder::new();
    let root = photos(&folder);
    #[cfg(unix)]
    std::os::unix::fs::symlink(&root, Path::new(&root).join("b/circle")).unwrap();
    let output = classify(&[&root, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    assert_eq!(names(&root, &lines), NAMES);
    assert!(lines[3]["error"].as_str().unwrap().contains("cut off"));
    assert_eq!(lines[0]["predictions"].as_array().unwrap().len(), 5);
    let summary = stderr(&output);
    assert!(summary.contains("6 photos, "), "{summary}");
    assert!(summary.contains(" a second, 1 failed"), "{summary}");

    let lenient = classify(&[&root, "--json", "--lenient"]);
    assert!(lenient.status.success());
    let lines = crate::support::lines(&lenient);
    assert!(lines[3]["warning"].as_str().unwrap().contains("cut off"));
    assert!(lines[0].get("warning").is_none());
    // One photo has no summary, and its error is said once.
    let cut = format!("{root}/b/cut.jpg");
    assert_eq!(
        stderr(&classify(&[&cut])),
        format!("error: {cut}: the file is cut off, a part of the photo is missing\n")
    );
}

#[test]
fn a_list_on_standard_input_may_have_any_bytes() {
    let folder = Folder::new();
    let root = photos(&folder);
    let mut list = format!("{root}/c.png\n{root}/b\n").into_bytes();
    let mut expected = vec![
        "c.png",
        "b/1.tiff",
        "b/2.bmp",
        "b/cut.jpg",
        "b/deep/x, y.ppm",
    ];
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.jpg");
        fs::copy(Path::new(&root).join("a.jpg"), Path::new(&root).join(name)).unwrap();
        list.extend(root.as_bytes());
        list.extend(b"/caf\xe9.jpg\n");
        expected.push("caf\u{fffd}.jpg");
    }
    let weights = golden("hugging_face_tiny");
    let mut child = program(&["classify", "-", "--weights", &weights, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&list).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines = lines(&output);
    assert_eq!(names(&root, &lines), expected);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.get("error").is_some())
            .count(),
        1
    );
}

/// Whether a field of CSV is a time: a number with three decimals.
fn is_time(field: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    field
        .split_once('.')
        .is_some_and(|(whole, part)| is_number(whole) && is_number(part) && part.len() == 3)
}

/// An interrupted run, at every byte of its file: completed, it is that of an unbroken run.
#[test]
fn a_run_is_resumed_from_its_own_file() {
    let folder = Folder::new();
    let root = photos(&folder);
    for ending in ["csv", "jsonl"] {
        let file = folder.path(&format!("answers.{ending}"));
        let arguments = [root.as_str(), "--output", &file, "--top", "2"];
        let output = classify(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stdout(&output).is_empty());
        assert!(stderr(&output).contains("cut.jpg: the file is cut off"));
        let without_times = |text: &str| -> Vec<String> {
            let time = |line: &str| match ending {
                "csv" => line.split(',').filter(|field| !is_time(field)).collect(),
                _ => {
                    let mut line: Value = serde_json::from_str(line).unwrap();
                    line.as_object_mut().unwrap().remove("milliseconds");
                    line.to_string()
                }
            };
            text.lines().map(time).collect()
        };
        let whole = fs::read_to_string(&file).unwrap();
        assert_eq!(whole.lines().count(), 6 + usize::from(ending == "csv"));
        let again = classify(&arguments);
        assert!(stderr(&again).contains("it exists; --resume completes it"));
        assert_eq!(fs::read_to_string(&file).unwrap(), whole);
        for end in [0, 3, 40, whole.len() / 2, whole.len() - 1, whole.len()] {
            fs::write(&file, &whole[..end]).unwrap();
            let resumed = classify(&[&arguments[..], &["--resume"]].concat());
            let found = fs::read_to_string(&file).unwrap();
            assert_eq!(without_times(&found), without_times(&whole), "{end}");
            let done = stderr(&resumed).contains("0 photos, ");
            assert_eq!(done, end == whole.len());
        }
        let other = classify(&[&root, "--output", &file, "--top", "3", "--resume"]);
        let refused = stderr(&other).contains("has other columns");
        assert_eq!(refused, ending == "csv");
    }
}

#[test]
fn csv_has_a_record_a_photo() {
    let folder = Folder::new();
    let root = photos(&folder);
    let output = classify(&[&root, "--csv", "--top", "1"]);
    let text = stdout(&output);
    let records: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        records[0],
        "photo,error,milliseconds,class_1,label_1,probability_1"
    );
    assert_eq!(records.len(), 1 + 6 + 1);
    assert!(records[4].contains("cut.jpg,\"") && records[4].ends_with(",,,,"));
    assert!(records[5].starts_with('"') && records[5].contains("x, y.ppm\",,"));
}

#[test]
fn views_rules_and_probabilities_are_chosen() {
    let folder = Folder::new();
    let root = photos(&folder);
    let photo = format!("{root}/c.png");
    let best = |arguments: &[&str]| {
        let output = classify(&[&[photo.as_str(), "--json"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        lines(&output)[0]["predictions"].clone()
    };
    let probabilities = |predictions: Value| -> Vec<f64> {
        let mut all: Vec<Value> = predictions.as_array().unwrap().clone();
        all.sort_by_key(|one| one["class"].as_u64());
        all.iter()
            .map(|one| one["probability"].as_f64().unwrap())
            .collect()
    };
    let of = |arguments: &[&str]| probabilities(best(&[arguments, &["--top", "10"]].concat()));
    let (plain, timm) = (
        of(&["--preprocess", "plain"]),
        of(&["--preprocess", "timm"]),
    );
    let both = of(&["--preprocess", "timm", "--views", "2"]);
    assert_ne!(plain, timm);
    for ((plain, timm), both) in plain.iter().zip(&timm).zip(&both) {
        assert!((both - (plain + timm) / 2.0).abs() < 1e-6);
    }
    assert_eq!(of(&["--views", "10"]).len(), 10);
    assert_eq!(best(&["--min-probability", "1"]), Value::Array(Vec::new()));
    let text = stdout(&classify(&[&photo, "--min-probability", "1"]));
    assert!(text.ends_with("  nothing known\n"), "{text}");
}

#[test]
fn weights_know_what_they_do_not_know() {
    let folder = Folder::new();
    let root = photos(&folder);
    let photo = format!("{root}/c.png");
    let weights = folder.path("own.safetensors");
    random_weights(&weights, Some(5), Labels::Unknown);
    let mut checkpoint = load(weights.as_ref(), ReadLimits::default()).unwrap();
    let mut number = |least: f64, arguments: &[&str]| {
        checkpoint.metadata.least_probability = Some(least);
        save(weights.as_ref(), &checkpoint, WeightsDtype::F32).unwrap();
        let all = ["classify", &photo, "--json", "--weights", &weights];
        let lines = json(&[&all[..], arguments].concat());
        lines[0]["predictions"].as_array().unwrap().len()
    };
    assert_eq!(number(0.999, &[]), 0);
    assert_eq!(number(0.999, &["--min-probability", "0"]), 5);
    assert_eq!(number(0.01, &[]), 5);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let folder = Folder::new();
    let root = photos(&folder);
    for arguments in [
        &["--top", "0"][..],
        &["--threads", "0"],
        &["--views", "3"],
        &["--min-probability", "2"],
        &["--output", "answers.txt"],
        &["--resume"],
        &["--csv", "--json"],
    ] {
        let output = classify(&[&[root.as_str()], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let many = run(&[
        "classify",
        &format!("{root}/c.png"),
        "--weights",
        &golden("hugging_face_tiny"),
        "--threads",
        "1000",
    ]);
    assert!(many.status.success());
    assert!(stderr(&many).starts_with("warning: 1000 threads on "));

    let empty = folder.path("empty");
    fs::create_dir(&empty).unwrap();
    let output = classify(&[&empty]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there are no photos in this folder"));
    let missing = classify(&[&folder.path("missing.jpg"), &format!("{root}/c.png")]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("missing.jpg") && stdout(&missing).contains("c.png"));
}

/// What is no file is named, and nobody waits for it.
#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused() {
    let folder = Folder::new();
    let pipe = folder.path("pipe.jpg");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for path in [pipe.as_str(), "/dev/zero"] {
        let output = classify(&[path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("is a pipe or a device, not a file"));
    }
    // Unreadable, but not for the superuser.
    let secret = folder.path("secret.jpg");
    fs::write(&secret, "").unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let output = classify(&[&secret]);
    let found = stderr(&output);
    assert!(
        found.contains("Permission denied") || found.contains("the file is empty"),
        "{found}"
    );
}
