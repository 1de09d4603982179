//! Runs the program. Shared by the tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, each of which uses its own part"
)]

use std::path::Path;
use std::process::{Command, Output};

use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata, WeightsDtype, save};
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::labels::Labels;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::model::{Array, npy};
use serde_json::Value;

/// A golden file of the model's tests.
pub fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden");
    folder.join(name).display().to_string()
}

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mobilenet"));
    command.args(arguments);
    command
}

pub fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output as JSON, line by line.
pub fn lines(output: &Output) -> Vec<Value> {
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Runs a command that must succeed and returns its lines.
pub fn json(arguments: &[&str]) -> Vec<Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    lines(&output)
}

/// Runs a command that must fail and returns its error output.
pub fn error(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success());
    stderr(&output)
}

/// Weights, input and output of `predict`.
pub struct Predict {
    pub weights: String,
    pub input: String,
    pub output: String,
}

impl Predict {
    pub fn new(folder: &Folder, weights: &str) -> Self {
        Self {
            weights: weights.to_string(),
            input: folder.path("in.npy"),
            output: folder.path("out.npy"),
        }
    }

    pub fn run(&self, options: &[&str]) -> Output {
        let files = [
            "--weights",
            &self.weights,
            "--input",
            &self.input,
            "--output",
            &self.output,
        ];
        run(&[&["predict"], &files[..], options].concat())
    }

    /// Runs it; it must succeed.
    pub fn succeed(&self, options: &[&str]) {
        let output = self.run(options);
        assert!(output.status.success(), "{}", stderr(&output));
    }

    /// Runs it; it must fail, and write nothing. Returns what it says.
    pub fn fail(&self, options: &[&str]) -> String {
        let output = self.run(options);
        assert_eq!(output.status.code(), Some(1));
        assert!(!Path::new(&self.output).exists());
        stderr(&output)
    }
}

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

pub fn write_npy(path: &str, shape: &[usize], values: &[f32]) {
    let array = Array::new(shape, values.to_vec()).unwrap();
    npy::write(path.as_ref(), &array).unwrap();
}

pub fn read_npy(path: &str) -> (Vec<usize>, Vec<f32>) {
    let array = npy::read(path.as_ref()).unwrap();
    (array.shape().to_vec(), array.into_values())
}

/// Writes random weights of a small network at 32 pixels.
pub fn random_weights(path: &str, classes: Option<usize>, labels: Labels) {
    let metadata = Metadata {
        width: 0.25,
        classes,
        labels,
        ..Metadata::new(Preprocessing::slim(32))
    };
    let checkpoint = Checkpoint {
        parameters: random_parameters(&metadata.config(), 3).unwrap(),
        metadata,
        report: LoadReport::default(),
    };
    save(path.as_ref(), &checkpoint, WeightsDtype::F32).unwrap();
}

/// Photos of 64 pixels with one bright box each, and YOLO's text files. Returns their folder.
pub fn write_boxes(folder: &Folder) -> String {
    for (part, count) in [("train", 6u32), ("val", 2)] {
        for kind in ["images", "labels"] {
            std::fs::create_dir_all(folder.path(&format!("data/{kind}/{part}"))).unwrap();
        }
        for number in 0..count {
            let (left, class) = (8 * number % 32, number % 2);
            let colour = if class == 0 {
                [250, 40, 40]
            } else {
                [40, 40, 250]
            };
            let inside = |x: u32, y: u32| (left..left + 24).contains(&x) && (16..48).contains(&y);
            let pixel = |x, y| image::Rgb(if inside(x, y) { colour } else { [120; 3] });
            let photo = image::RgbImage::from_fn(64, 64, pixel);
            photo
                .save(folder.path(&format!("data/images/{part}/{number}.png")))
                .unwrap();
            let text = format!("{class} {} 0.5 0.375 0.5\n", f64::from(left + 12) / 64.0);
            std::fs::write(
                folder.path(&format!("data/labels/{part}/{number}.txt")),
                text,
            )
            .unwrap();
        }
    }
    std::fs::write(folder.path("data/data.yaml"), "names: [red, blue]\n").unwrap();
    folder.path("data")
}

/// Writes a photo of waves, 96x88, with its folders; every seed gives another photo.
pub fn write_photo(path: impl AsRef<Path>, seed: u32) {
    made_photo(seed, 96, 88)
        .save(made_folder(path.as_ref()))
        .unwrap();
}

/// Makes the folder of a file.
pub fn made_folder(path: &Path) -> &Path {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

/// A photo of waves; a seed gives the same scene in any size.
pub fn made_photo(seed: u32, width: u32, height: u32) -> image::RgbImage {
    let wave =
        |turns: f32, phase: f32| (turns * std::f32::consts::TAU + phase).sin() * 100.0 + 128.0;
    let seed = seed as f32;
    image::RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let (a, b) = (1.0 + seed * 0.37 % 3.0, 1.0 + seed * 0.61 % 2.5);
        [
            wave(a * x + y, seed) as u8,
            wave(b * y - x, seed * 2.3) as u8,
            wave(a * x * y * 2.0, seed * 1.7) as u8,
        ]
        .into()
    })
}
