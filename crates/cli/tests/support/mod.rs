//! Runs the program. Shared by the tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, each of which uses its own part"
)]

use std::path::Path;
use std::process::{Command, Output};

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
