//! Shared by the tests: the program as its users call it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, each of which uses its own part"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A golden file of the model's tests.
pub fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/golden");
    folder.join(name).display().to_string()
}

pub fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments);
    command
}

pub fn run(arguments: &[&str]) -> Output {
    xtask(arguments).output().unwrap()
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

/// The lines of a command that must have succeeded.
pub fn json(arguments: &[&str]) -> Vec<Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    lines(&output)
}

/// What a command that must have failed says.
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

pub fn write_npy(path: &str, shape: &[u64], values: &[f32]) {
    use npyz::WriterBuilder;
    let file = std::fs::File::create(path).unwrap();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(file)
        .begin_nd()
        .unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

pub fn read_npy(path: &str) -> (Vec<u64>, Vec<f32>) {
    let array = npyz::NpyFile::new(std::fs::File::open(path).unwrap()).unwrap();
    (array.shape().to_vec(), array.into_vec().unwrap())
}
