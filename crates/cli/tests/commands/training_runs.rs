//! Trainings of a small network on made photos, and the files that they leave.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes photos of two classes that a small network can tell apart. Per class, 12 are for training
/// and 4 for testing.
pub(super) fn photos(folder: &Path) -> PathBuf {
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

pub(super) fn train(data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mobilenet"));
    command
        .arg("train")
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(out);
    command.args(["--width", "0.25", "--batch-size", "8", "--threads", "2"]);
    command.args(["--log-every", "2"]).args(more);
    // A small network unless a test sets a resolution.
    if !more.contains(&"--resolution") {
        command.args(["--resolution", "32", "--ema=0.9"]);
    }
    command
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names of all files in a run's folder of checkpoints.
pub(super) fn checkpoints(out: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(out.join("checkpoints"));
    let entries = entries.into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The newest complete checkpoint.
pub(super) fn newest(out: &Path) -> Option<String> {
    let mut names = checkpoints(out).into_iter();
    names.rfind(|name| name.starts_with("step-"))
}

/// The final weights, and the tensors of the last checkpoint. The checkpoint's header is left out,
/// because its entries have no fixed order.
pub(super) fn results(out: &Path) -> (Vec<u8>, Vec<u8>) {
    let last = newest(out).unwrap();
    let state = std::fs::read(out.join("checkpoints").join(last)).unwrap();
    let header = u64::from_le_bytes(state[..8].try_into().unwrap()) as usize;
    let weights = std::fs::read(out.join("model.safetensors")).unwrap();
    (weights, state[8 + header..].to_vec())
}
