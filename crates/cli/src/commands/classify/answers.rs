//! Where answers go: lines for people, JSON or CSV, to standard output or to a file.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mobilenet::model::file::write_atomically;
use mobilenet::{Answer, Prediction};
use serde::{Deserialize, Serialize};

use super::csv;
use crate::output;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Csv,
}

#[derive(Serialize)]
struct Line<'a> {
    photo: &'a str,
    milliseconds: f64,
    predictions: &'a [Prediction],
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    photo: &'a str,
    error: &'a str,
}

/// What of a line is read when a run is resumed.
#[derive(Deserialize)]
struct AnyLine {
    photo: String,
}

/// Takes answers.
pub(super) struct Answers {
    format: Format,
    top: usize,
    file: Option<File>,
    /// A file that appears whole at the end, and what it will have.
    whole: Option<(PathBuf, String)>,
    #[cfg(feature = "parquet")]
    table: Option<super::parquet::Table>,
}

impl Answers {
    /// To standard output.
    pub(super) fn printed(format: Format, top: usize) -> Result<Self> {
        let mut answers = Self {
            format,
            top,
            file: None,
            whole: None,
            #[cfg(feature = "parquet")]
            table: None,
        };
        if format == Format::Csv {
            answers.write(&csv::header(top))?;
        }
        Ok(answers)
    }

    /// To a new file, or to the end of one that an interrupted run has left. Gives the photos that
    /// are in it, and how many times.
    pub(super) fn in_file(
        path: &Path,
        format: Format,
        top: usize,
        resume: bool,
    ) -> Result<(Self, HashMap<String, usize>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match resume {
            true => options.create(true).truncate(false),
            false => options.create_new(true),
        };
        let mut file = options.open(path).with_context(|| {
            let advice = match !resume && path.exists() {
                true => ": it exists; --resume completes it",
                false => "",
            };
            format!("cannot write {}{advice}", path.display())
        })?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let header = csv::header(top);
        let (photos, whole) = match format {
            Format::Csv => crate::csv::first_fields(&text),
            Format::Json | Format::Text => whole_lines(&text, path)?,
        };
        let mut photos = photos.into_iter();
        if format == Format::Csv && photos.next().is_some() && !text.starts_with(header.as_bytes())
        {
            bail!(
                "{} has other columns; was it written with another --top?",
                path.display()
            );
        }
        // Behind the last whole line is one that was interrupted.
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut answers = Self {
            format,
            top,
            file: Some(file),
            whole: None,
            #[cfg(feature = "parquet")]
            table: None,
        };
        if format == Format::Csv && whole == 0 {
            answers.write(&header)?;
        }
        let mut done = HashMap::new();
        for photo in photos {
            *done.entry(photo).or_default() += 1;
        }
        Ok((answers, done))
    }

    /// To a new file, which is written at the end.
    pub(super) fn whole(path: &Path, format: Format, top: usize) -> Result<Self> {
        let mut answers = Self {
            format,
            top,
            file: None,
            whole: Some((path.to_path_buf(), String::new())),
            #[cfg(feature = "parquet")]
            table: None,
        };
        if format == Format::Csv {
            answers.write(&csv::header(top))?;
        }
        Ok(answers)
    }

    /// To a new Parquet file, which is written at the end.
    #[cfg(feature = "parquet")]
    pub(super) fn in_parquet(path: &Path, top: usize) -> Result<Self> {
        Ok(Self {
            format: Format::Csv,
            top,
            file: None,
            whole: None,
            table: Some(super::parquet::Table::new(path, top)?),
        })
    }

    pub(super) fn answer(&mut self, photo: &str, answer: &Answer) -> Result<()> {
        let predictions = answer.predictions.as_slice();
        let milliseconds = answer.network.as_secs_f64() * 1e3;
        #[cfg(feature = "parquet")]
        if let Some(table) = &mut self.table {
            table.add(photo, Ok((milliseconds, predictions)));
            return Ok(());
        }
        let text = match self.format {
            Format::Json => json(&Line {
                photo,
                milliseconds,
                predictions,
                warning: answer.warning.as_deref(),
            })?,
            Format::Csv => csv::photo(photo, Ok((milliseconds, predictions)), self.top),
            Format::Text => {
                let mut text = format!("{photo} ({milliseconds:.1} ms)\n");
                if predictions.is_empty() {
                    text += "  nothing known\n";
                }
                for prediction in predictions {
                    text += &sentence(prediction);
                }
                text
            }
        };
        self.write(&text)
    }

    /// An error is part of what programs read; people see it elsewhere.
    pub(super) fn error(&mut self, photo: &str, error: &str) -> Result<()> {
        #[cfg(feature = "parquet")]
        if let Some(table) = &mut self.table {
            table.add(photo, Err(error));
            return Ok(());
        }
        match self.format {
            Format::Json => self.write(&json(&ErrorLine { photo, error })?),
            Format::Csv => self.write(&csv::photo(photo, Err(error), self.top)),
            Format::Text => Ok(()),
        }
    }

    /// Whether errors are among the answers, where whoever reads them looks.
    pub(super) fn has_errors(&self) -> bool {
        let printed = self.file.is_none() && self.whole.is_none();
        printed && self.format == Format::Json
    }

    /// All of a photo at once, so that an interruption tears at most one.
    fn write(&mut self, text: &str) -> Result<()> {
        match (&mut self.file, &mut self.whole) {
            (Some(file), _) => Ok(file.write_all(text.as_bytes())?),
            (None, Some((_, whole))) => {
                whole.push_str(text);
                Ok(())
            }
            (None, None) => output::text(text),
        }
    }

    /// Makes a file durable.
    pub(super) fn finish(self) -> Result<()> {
        #[cfg(feature = "parquet")]
        if let Some(table) = self.table {
            return table.write();
        }
        if let Some((path, whole)) = self.whole {
            return write_atomically(&path, whole.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()));
        }
        match self.file {
            Some(file) => Ok(file.sync_all()?),
            None => Ok(()),
        }
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

/// The photos of the whole lines of a file of JSON lines, and how many bytes these have.
fn whole_lines(text: &[u8], path: &Path) -> Result<(Vec<String>, usize)> {
    let whole = text.iter().rposition(|&byte| byte == b'\n');
    let whole = whole.map_or(0, |end| end + 1);
    let lines = text[..whole].split_inclusive(|&byte| byte == b'\n');
    let photos = lines.enumerate().map(|(index, line)| {
        let line: AnyLine = serde_json::from_slice(line).with_context(|| {
            format!(
                "{}: line {} is no answer of ours",
                path.display(),
                index + 1
            )
        })?;
        Ok(line.photo)
    });
    Ok((photos.collect::<Result<_>>()?, whole))
}

fn sentence(prediction: &Prediction) -> String {
    let name = match &prediction.label {
        Some(label) => label.clone(),
        None => format!("class {}", prediction.class),
    };
    format!("  {:6.2} %  {name}\n", 100.0 * prediction.probability)
}
