//! Event files for TensorBoard, written here because no maintained crate writes them. The tests
//! compare with TensorFlow's bytes and use TensorBoard's own reader (`tests/training/tensorboard.rs`).

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::event::{Event, FILE_VERSION, SessionLog, Summary, Value, What};
use super::record_file::push_record;
use super::{DetectionRecord, EpochRecord, MeasureRecord, StepRecord};
use crate::error::TrainError;

/// An event file. Each call appends to it and flushes.
///
/// A resumed training begins a new file in the same folder. TensorBoard reads the files of a folder
/// as one, and drops from earlier files all steps from the new file's first one on.
#[derive(Debug)]
pub struct TensorBoard {
    file: File,
    path: PathBuf,
}

impl TensorBoard {
    /// Creates a file `events.out.tfevents.SECONDS.mobilenet.PROCESS.NUMBER` in a folder, which is
    /// created if necessary. `first_step` is the first step that will be written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self, TrainError> {
        std::fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        let now = now();
        let mut number = 0;
        let (file, path) = loop {
            // TensorBoard reads the files of a folder in the order of their names.
            let name = format!(
                "events.out.tfevents.{:010}.mobilenet.{}.{number}",
                now as u64,
                std::process::id()
            );
            let path = folder.join(name);
            match File::create_new(&path) {
                Ok(file) => break (file, path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(TrainError::write(&path)(error)),
            }
        };
        let mut board = Self { file, path };
        board.append(&beginning(now, first_step))?;
        Ok(board)
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Values of a step, each under its tag.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), TrainError> {
        self.append(&summary(now(), step, scalars))
    }

    /// A training step, under slim's tags.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn step(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        let mut scalars = vec![
            ("losses/total_loss", record.loss),
            ("training/learning_rate", record.learning_rate),
            ("training/images_per_second", record.images_per_second),
        ];
        scalars.extend(record.staleness.map(|steps| ("training/staleness", steps)));
        self.scalars(record.step, &scalars)
    }

    /// An evaluation after `step` steps, under slim's tags.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn epoch(&mut self, step: u64, record: &EpochRecord) -> Result<(), TrainError> {
        let scalars = [
            ("eval/Accuracy", record.accuracy),
            ("eval/Recall_5", record.recall_5),
        ];
        self.scalars(step, &scalars)
    }

    /// Adds the evaluation of attributes or an embedding after `step` steps.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn measure(&mut self, step: u64, record: &MeasureRecord) -> Result<(), TrainError> {
        match record.value {
            Some(value) => self.scalars(step, &[(record.measure.tag(), value)]),
            None => Ok(()),
        }
    }

    /// Adds the evaluation of a detector after `step` steps.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn detection(&mut self, step: u64, record: &DetectionRecord) -> Result<(), TrainError> {
        let scalars = [("eval/AP", record.ap), ("eval/AP_50", record.ap_50)];
        let known = scalars.into_iter();
        let known = known.filter_map(|(name, value)| Some((name, value?)));
        self.scalars(step, &known.collect::<Vec<_>>())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.flush());
        written.map_err(TrainError::write(&self.path))
    }
}

fn now() -> f64 {
    // A clock before 1970 should not stop a training.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn beginning(wall_time: f64, first_step: u64) -> Vec<u8> {
    let mut bytes = record(wall_time, 0, What::FileVersion(FILE_VERSION.to_string()));
    let start = What::SessionLog(SessionLog::START);
    bytes.extend(record(wall_time, first_step, start));
    bytes
}

fn summary(wall_time: f64, step: u64, scalars: &[(&str, f64)]) -> Vec<u8> {
    let value = scalars
        .iter()
        .map(|&(tag, value)| Value {
            tag: tag.to_string(),
            simple_value: Some(value as f32),
        })
        .collect();
    record(wall_time, step, What::Summary(Summary { value }))
}

fn record(wall_time: f64, step: u64, what: What) -> Vec<u8> {
    let event = Event {
        wall_time,
        step: i64::try_from(step).unwrap_or(i64::MAX),
        what: Some(what),
    };
    let mut bytes = Vec::new();
    push_record(&mut bytes, &event.encode_to_vec());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected bytes are the same events written by TensorFlow (`tests/golden/event_file.py`).
    #[test]
    fn bytes_are_tensorflows() {
        let mut bytes = beginning(1_500_000_000.25, 7);
        bytes.extend(summary(1_500_000_001.5, 0, &[("losses/total_loss", 0.0)]));
        let scalars = [("eval/Accuracy", 0.875), ("eval/Recall_5", -1.1)];
        bytes.extend(summary(1_500_000_002.75, 123_456_789_012, &scalars));
        let expected = include_bytes!("../../tests/golden/event_file.tfevents");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn every_beginning_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("logs");
        let first = TensorBoard::create(&folder, 0).unwrap();
        let second = TensorBoard::create(&folder, 0).unwrap();
        assert_ne!(first.path(), second.path());
        assert!(TensorBoard::create(first.path(), 0).is_err());
    }
}
