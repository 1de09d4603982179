//! `train` and `eval` as a user meets them: photos in folders, killed and resumed runs, broken
//! photos, divergence.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

/// Photos of two classes that a small network can tell apart, 12 to train on and 4 to test with
/// in each.
fn photos(folder: &Path) -> PathBuf {
    let data = folder.join("photos");
    for (part, count) in [("train", 12), ("test", 4)] {
        for (class, base) in [("dark", 40u8), ("light", 190u8)] {
            let dir = data.join(part).join(class);
            std::fs::create_dir_all(&dir).unwrap();
            for number in 0..count {
                let photo = image::RgbImage::from_fn(40, 36, |x, y| {
                    let noise = (x * 7 + y * 13 + number * 29) % 40;
                    image::Rgb([base + noise as u8, base, base + (y % 20) as u8])
                });
                photo.save(dir.join(format!("{number:02}.png"))).unwrap();
            }
        }
    }
    data
}

fn train(data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("train")
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(out);
    command.args(["--width", "0.25", "--batch-size", "8", "--threads", "2"]);
    command.args(["--log-every", "2"]).args(more);
    // Small unless a test says otherwise.
    if !more.contains(&"--resolution") {
        command.args(["--resolution", "32", "--ema=0.9"]);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    let stdout = text(&output.stdout);
    let parse = |line: &str| serde_json::from_str(line).unwrap();
    stdout.lines().map(parse).collect()
}

#[test]
fn a_folder_of_photos_becomes_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (photos(folder.path()), folder.path().join("out"));
    let sizes = [
        "--resolution",
        "64",
        "--epochs",
        "20",
        "--learning-rate",
        "0.01",
    ];
    let rules = ["--augment", "none", "--batch-norm-decay", "0.5", "--json"];
    let output = train(&data, &out, &[&sizes[..], &rules].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = lines(&output);
    for key in ["step", "loss", "learning_rate", "images_per_second"] {
        assert!(lines[0][key].is_number(), "{lines:?}");
    }
    let epochs: Vec<&Value> = lines.iter().filter(|line| line["epoch"].is_u64()).collect();
    assert_eq!(epochs.len(), 20);
    assert_eq!(epochs[19]["accuracy"], 1.0, "{epochs:?}");
    for file in [
        "model.safetensors",
        "log.jsonl",
        "report/report.md",
        "report/loss.svg",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }

    let eval = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["eval", "--json", "--weights"])
        .arg(out.join("model.safetensors"))
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert!(eval.status.success(), "{}", text(&eval.stderr));
    let line: Value = serde_json::from_slice(&eval.stdout).unwrap();
    assert_eq!(
        (&line["images"], &line["accuracy"]),
        (&8.into(), &1.0.into())
    );

    // A second training must not write over the first.
    let again = train(&data, &out, &["--epochs", "1"]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is there already"));
    // Other settings cannot go on from its checkpoint.
    let other = train(
        &data,
        &out,
        &["--epochs", "20", "--resolution", "64", "--resume"],
    )
    .output()
    .unwrap();
    assert!(
        text(&other.stderr).contains("augmentation was"),
        "{}",
        text(&other.stderr)
    );
}

#[test]
fn killed_runs_end_in_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = photos(folder.path());
    let arguments = ["--steps", "60", "--save-every", "4"];
    let whole = folder.path().join("whole");
    let output = train(&data, &whole, &arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let broken = folder.path().join("broken");
    let mut kills = 0;
    // Ever later moments: a run has to get somewhere in the end, on a slow machine, too.
    for attempt in 1..200u64 {
        let mut command = train(&data, &broken, &arguments);
        command.arg("--resume");
        let mut child = command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + attempt * 37 % 90 + attempt * 4));
        let ended = child.try_wait().unwrap();
        if ended.is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        if child.wait().unwrap().success() {
            break;
        }
    }
    println!("killed {kills} times");
    let bytes = |out: &Path| std::fs::read(out.join("model.safetensors")).unwrap();
    assert!(bytes(&broken) == bytes(&whole), "the weights differ");
    // The header's entries have no fixed order.
    let last = |out: &Path| {
        let bytes = std::fs::read(out.join("checkpoints/step-0000000060.safetensors")).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    assert!(last(&broken) == last(&whole), "the states differ");
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (photos(folder.path()), folder.path().join("out"));
    let arguments = ["--steps", "8", "--save-every", "4"];
    assert!(
        train(&data, &out, &arguments)
            .output()
            .unwrap()
            .status
            .success()
    );
    let whole = std::fs::read(out.join("model.safetensors")).unwrap();
    let newest = out.join("checkpoints/step-0000000008.safetensors");
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let output = train(&data, &out, &[&arguments[..], &["--resume"]].concat())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("it is damaged") && said.contains("going on after step 4"),
        "{said}"
    );
    assert!(std::fs::read(out.join("model.safetensors")).unwrap() == whole);
}

#[test]
fn broken_photos_are_named_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = photos(folder.path());
    std::fs::write(data.join("train/dark/05.png"), "no photo").unwrap();
    let run = |name: &str, share: &str| {
        let out = folder.path().join(name);
        train(&data, &out, &["--epochs", "1", "--max-skipped", share])
            .output()
            .unwrap()
    };
    let tolerant = run("tolerant", "0.1");
    let said = text(&tolerant.stderr);
    assert!(tolerant.status.success(), "{said}");
    assert!(
        said.contains("05.png") && said.contains("1 photos could not be used"),
        "{said}"
    );
    let strict = run("strict", "0.01");
    assert_eq!(strict.status.code(), Some(1), "{}", text(&strict.stderr));
}

#[test]
fn divergence_stops_with_step_and_photos() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (photos(folder.path()), folder.path().join("out"));
    let arguments = [
        "--steps",
        "40",
        "--save-every",
        "1",
        "--learning-rate",
        "1e30",
    ];
    let output = train(&data, &out, &[&arguments[..], &["--warm-up", "0"]].concat())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("is not finite") && said.contains(".png"),
        "{said}"
    );
}

#[test]
fn wrong_usage_is_two() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args([
            "train", "--data", "x", "--out", "y", "--epochs", "1", "--steps", "2",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
