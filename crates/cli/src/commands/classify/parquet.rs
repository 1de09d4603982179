//! Answers as a Parquet file: the columns of the CSV.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mobilenet::Prediction;
use mobilenet::model::file::write_atomically;
use mobilenet::parquet::{Column, Values, to_bytes};

/// All answers. The file has its structure at its end, so it is written when all are there.
pub(super) struct Table {
    path: PathBuf,
    photos: Vec<Option<String>>,
    errors: Vec<Option<String>>,
    milliseconds: Vec<Option<f64>>,
    /// Of each rank.
    answers: Vec<Rank>,
}

#[derive(Default, Clone)]
struct Rank {
    classes: Vec<Option<i64>>,
    labels: Vec<Option<String>>,
    probabilities: Vec<Option<f64>>,
}

impl Table {
    /// An empty table, for a file that does not exist.
    pub(super) fn new(path: &Path, top: usize) -> Result<Self> {
        if path.exists() {
            bail!("cannot write {}: it exists", path.display());
        }
        Ok(Self {
            path: path.to_path_buf(),
            photos: Vec::new(),
            errors: Vec::new(),
            milliseconds: Vec::new(),
            answers: vec![Rank::default(); top],
        })
    }

    /// Adds a photo that was classified, or one that could not be.
    pub(super) fn add(&mut self, photo: &str, found: Result<(f64, &[Prediction]), &str>) {
        let (error, milliseconds, predictions) = match found {
            Ok((milliseconds, predictions)) => (None, Some(milliseconds), predictions),
            Err(error) => (Some(error.to_string()), None, &[][..]),
        };
        self.photos.push(Some(photo.to_string()));
        self.errors.push(error);
        self.milliseconds.push(milliseconds);
        for (index, rank) in self.answers.iter_mut().enumerate() {
            let answer = predictions.get(index);
            rank.classes.push(answer.map(|answer| answer.class as i64));
            let label = answer.and_then(|answer| answer.label.clone());
            rank.labels.push(label);
            let probability = answer.map(|answer| f64::from(answer.probability));
            rank.probabilities.push(probability);
        }
    }

    /// Writes the file, whole or not at all.
    pub(super) fn write(self) -> Result<()> {
        let mut columns = vec![
            Column::new("photo", Values::Text(self.photos)),
            Column::new("error", Values::Text(self.errors)),
            Column::new("milliseconds", Values::Double(self.milliseconds)),
        ];
        for (rank, answers) in (1..).zip(self.answers) {
            columns.extend([
                Column::new(format!("class_{rank}"), Values::Int(answers.classes)),
                Column::new(format!("label_{rank}"), Values::Text(answers.labels)),
                Column::new(
                    format!("probability_{rank}"),
                    Values::Double(answers.probabilities),
                ),
            ]);
        }
        let failed = || format!("cannot write {}", self.path.display());
        let bytes = to_bytes(&columns).with_context(failed)?;
        write_atomically(&self.path, &bytes).with_context(failed)
    }
}
