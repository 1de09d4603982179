//! The records of a training, which are read back from its JSON lines when it is resumed.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::TrainError;
use crate::file::write_atomically;

/// Largest log that is read: a million steps take about a tenth of it.
const LARGEST: u64 = 1 << 30;

/// A training step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps done.
    pub step: u64,
    /// Loss of its batch, or mean loss since the last record. JSON has no NaN, so that is `null`.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Rate of the step.
    pub learning_rate: f64,
    /// Speed since the last record.
    pub images_per_second: f64,
    /// In a training by replicas, mean number of steps since the weights of a gradient were pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness: Option<f64>,
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::deserialize(deserializer).map(|number| number.unwrap_or(f64::NAN))
}

/// An evaluation after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epochs done.
    pub epoch: u64,
    /// Share of images whose label had the largest logit.
    pub accuracy: f64,
    /// Share of images whose label was among the five best.
    pub recall_5: f64,
}

/// An evaluation of a detector after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectionRecord {
    /// Epochs done.
    pub epoch: u64,
    /// COCO's average precision. `None` if the data for evaluation has no box.
    pub ap: Option<f64>,
    /// The same at an overlap of 0.5.
    pub ap_50: Option<f64>,
}

/// What a [`MeasureRecord`] measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Of attributes: the mean of their average precisions.
    MeanAveragePrecision,
    /// Of an embedding: the chance that photos of the same are nearer than others.
    AreaUnderRoc,
    /// Of an embedding: how near it is to the vectors that it learns.
    MeanCosine,
}

impl Measure {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::MeanAveragePrecision => "mean average precision",
            Self::AreaUnderRoc => "area under the ROC",
            Self::MeanCosine => "mean cosine",
        }
    }

    /// Its name in logs.
    pub fn tag(self) -> &'static str {
        match self {
            Self::MeanAveragePrecision => "eval/mean_average_precision",
            Self::AreaUnderRoc => "eval/area_under_roc",
            Self::MeanCosine => "eval/mean_cosine",
        }
    }
}

/// An evaluation of attributes or an embedding after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasureRecord {
    /// Epochs done.
    pub epoch: u64,
    /// What was measured.
    pub measure: Measure,
    /// `None` if the data cannot tell.
    pub value: Option<f64>,
}

/// A line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// A training step.
    Step(StepRecord),
    /// An evaluation.
    Epoch(EpochRecord),
    /// An evaluation of attributes or an embedding.
    Measure(MeasureRecord),
    /// An evaluation of a detector.
    Detection(DetectionRecord),
}

/// All records of a training.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// In the order of the training.
    pub records: Vec<Record>,
}

impl History {
    /// Reads JSON lines. An incomplete last line, which a killed process may leave, is ignored.
    ///
    /// # Errors
    /// If the file cannot be read, is larger than 1 GiB, or has an invalid line, which the error
    /// names.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let failed = |problem: String| TrainError::read(path)(problem);
        let size = std::fs::metadata(path).map_err(TrainError::read(path))?;
        if size.len() > LARGEST {
            return Err(failed(format!("{} bytes, at most {LARGEST}", size.len())));
        }
        let text = std::fs::read_to_string(path).map_err(TrainError::read(path))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let records = whole.lines().enumerate().map(|(line, text)| {
            serde_json::from_str(text)
                .map_err(|error| failed(format!("line {}: no record: {error}", line + 1)))
        });
        Ok(Self {
            records: records.collect::<Result<_, _>>()?,
        })
    }

    /// Removes the records after a checkpoint: steps above `step`, epochs above `epoch`.
    pub fn truncate(&mut self, step: u64, epoch: u64) {
        self.records.retain(|record| match record {
            Record::Step(record) => record.step <= step,
            Record::Epoch(record) => record.epoch <= epoch,
            Record::Measure(record) => record.epoch <= epoch,
            Record::Detection(record) => record.epoch <= epoch,
        });
    }

    /// Writes the records as JSON lines, atomically. More lines can be appended later.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut bytes = Vec::new();
        for record in &self.records {
            let line = serde_json::to_writer(&mut bytes, record);
            line.map_err(TrainError::write(path))?;
            bytes.push(b'\n');
        }
        write_atomically(path, &bytes)
    }

    /// The training steps.
    pub fn steps(&self) -> impl Iterator<Item = &StepRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Step(record) => Some(record),
            _ => None,
        })
    }

    /// The evaluations.
    pub fn epochs(&self) -> impl Iterator<Item = &EpochRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Epoch(record) => Some(record),
            _ => None,
        })
    }

    /// The evaluations of a detector.
    pub fn detections(&self) -> impl Iterator<Item = &DetectionRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Detection(record) => Some(record),
            _ => None,
        })
    }

    /// The evaluations of attributes or an embedding.
    pub fn measures(&self) -> impl Iterator<Item = &MeasureRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Measure(record) => Some(record),
            _ => None,
        })
    }

    /// The last epoch with an evaluation.
    pub fn evaluated(&self) -> Option<u64> {
        let epochs = self.epochs().map(|record| record.epoch);
        epochs
            .chain(self.measures().map(|record| record.epoch))
            .chain(self.detections().map(|record| record.epoch))
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> Record {
        Record::Step(StepRecord {
            step,
            loss: 2.5,
            learning_rate: 0.045,
            images_per_second: 61.0,
            staleness: None,
        })
    }

    fn epoch(epoch: u64) -> Record {
        Record::Epoch(EpochRecord {
            epoch,
            accuracy: 0.9,
            recall_5: 0.99,
        })
    }

    #[test]
    fn a_killed_training_goes_on_from_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let records = vec![step(10), epoch(1), step(20), epoch(2), step(30)];
        History { records }.write(&path).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(r#"{"step":40,"lo"#);
        std::fs::write(&path, text).unwrap();

        let mut history = History::read(&path).unwrap();
        assert_eq!(history.records.len(), 5);
        history.truncate(20, 1);
        assert_eq!(history.records, [step(10), epoch(1), step(20)]);
        assert_eq!(history.steps().count(), 2);
        assert_eq!(history.epochs().count(), 1);
    }

    #[test]
    fn a_diverged_training_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let Record::Step(mut record) = step(10) else {
            unreachable!()
        };
        record.loss = f64::NAN;
        let records = vec![Record::Step(record)];
        History { records }.write(&path).unwrap();
        let history = History::read(&path).unwrap();
        assert!(history.steps().all(|step| step.loss.is_nan()));
        assert_eq!(history.steps().count(), 1);
    }

    #[test]
    fn what_is_no_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, "{\"epoch\":1,\"accuracy\":1,\"recall_5\":1}\n{}\n").unwrap();
        let error = History::read(&path).unwrap_err().to_string();
        assert!(error.contains("log.jsonl: line 2"), "{error}");
        assert!(History::read(&folder.path().join("none")).is_err());
    }
}
