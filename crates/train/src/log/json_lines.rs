//! One JSON object per line, as in the output of `train --json` and in a training's log.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Record;
use crate::error::TrainError;

/// Writes records as lines, each flushed at once.
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
    path: PathBuf,
}

impl JsonLines<File> {
    /// Appends to a file, or creates it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn append(path: &Path) -> Result<Self, TrainError> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self::new(file.map_err(TrainError::write(path))?, path))
    }
}

impl<W: Write> JsonLines<W> {
    /// Writes to any writer. `path` is used in errors.
    pub fn new(writer: W, path: impl Into<PathBuf>) -> Self {
        Self {
            writer,
            path: path.into(),
        }
    }

    /// Writes a record as one line, in one call.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<(), TrainError> {
        let line = serde_json::to_string(record).map_err(std::io::Error::from);
        line.and_then(|line| {
            self.writer.write_all(format!("{line}\n").as_bytes())?;
            self.writer.flush()
        })
        .map_err(TrainError::write(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{EpochRecord, History, StepRecord};

    #[test]
    fn lines_are_those_of_the_contract() {
        let records = vec![
            Record::Step(StepRecord {
                step: 10,
                loss: 2.5,
                learning_rate: 0.045,
                images_per_second: 61.5,
                staleness: None,
            }),
            Record::Epoch(EpochRecord {
                epoch: 1,
                accuracy: 0.875,
                recall_5: 1.0,
            }),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        for record in &records {
            // Opened again each time, as after resuming.
            JsonLines::append(&path).unwrap().write(record).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"step\":10,\"loss\":2.5,\"learning_rate\":0.045,\"images_per_second\":61.5}\n\
             {\"epoch\":1,\"accuracy\":0.875,\"recall_5\":1.0}\n"
        );
        assert_eq!(History::read(&path).unwrap().records, records);
    }

    #[test]
    fn a_closed_pipe_is_an_error() {
        let mut room = [0u8; 4];
        let mut full = JsonLines::new(&mut room[..], "standard output");
        let record = Record::Epoch(EpochRecord {
            epoch: 1,
            accuracy: 0.0,
            recall_5: 0.0,
        });
        let error = full.write(&record).unwrap_err().to_string();
        assert!(error.starts_with("cannot write standard output"), "{error}");
    }
}
