//! Features with the names of their photos, and their kinds of files.
//!
//! ```text
//! x.npy      f32 [photos, features]; x.txt beside it has the photos' names, one a line
//! x.jsonl    a line a photo: {"photo": "cat.jpg", "features": [0.1, ...]}
//! x.parquet  columns photo and features (a list), with the feature `parquet`; written only
//! ```

use std::path::{Path, PathBuf};

use mobilenet_model::array::Array;
use mobilenet_model::file::write_atomically;
use mobilenet_model::npy::{self, NpyError};
use serde::{Deserialize, Serialize};

/// Endings of files of features that are read.
pub const ENDINGS: [&str; 2] = ["npy", "jsonl"];

/// Features of photos, a row each.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTable {
    names: Vec<String>,
    width: usize,
    values: Vec<f32>,
}

/// Features that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeaturesError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An array cannot be read or written.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A file of another kind.
    #[error(
        "{path}: files of features end in .npy or .jsonl (.parquet is written only, and by a \
         program that was built with the feature parquet)",
        path = path.display()
    )]
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// The content is no table of features.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Rows that do not make a table.
    #[error("{0}")]
    Rows(String),
}

#[derive(Serialize, Deserialize)]
struct Line {
    photo: String,
    features: Vec<f32>,
}

impl FeatureTable {
    /// Features `[names, width]`.
    ///
    /// # Errors
    /// If there are none, their number is wrong, or one is not finite.
    pub fn new(names: Vec<String>, width: usize, values: Vec<f32>) -> Result<Self, FeaturesError> {
        let rows = names.len();
        if rows == 0 || width == 0 {
            let problem = format!("expected features, found {rows} rows of {width}");
            return Err(FeaturesError::Rows(problem));
        }
        if rows.checked_mul(width) != Some(values.len()) {
            let found = values.len();
            let problem = format!("expected {rows} rows of {width} features, found {found} values");
            return Err(FeaturesError::Rows(problem));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, value) = (at / width, values[at]);
            let problem = format!("row {row} ({}) has a feature that is {value}", names[row]);
            return Err(FeaturesError::Rows(problem));
        }
        Ok(Self {
            names,
            width,
            values,
        })
    }

    /// The photos' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Features of a photo.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All features, `[names, width]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Names and features.
    pub fn into_parts(self) -> (Vec<String>, Vec<f32>) {
        (self.names, self.values)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no table of finite features with a name for each row.
    pub fn read(path: &Path) -> Result<Self, FeaturesError> {
        let table = match ending(path)? {
            Ending::Npy => {
                let array = npy::read(path)?;
                let &[rows, width] = array.shape() else {
                    let shape = array.shape();
                    let problem = format!("expected an array [photos, features], found {shape:?}");
                    return Err(content(path, problem));
                };
                let names_path = path.with_extension("txt");
                let names = read_text(&names_path)?;
                let names: Vec<String> = names.lines().map(str::to_string).collect();
                if names.len() != rows {
                    let problem = format!("expected {rows} names, found {}", names.len());
                    return Err(content(&names_path, problem));
                }
                Self::new(names, width, array.into_values())
            }
            Ending::JsonLines => read_lines(path, &read_text(path)?),
        };
        // Say in which file.
        table.map_err(|error| match error {
            FeaturesError::Rows(problem) => content(path, problem),
            other => other,
        })
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written, or a name has a line break, which the names beside `.npy` cannot
    /// hold.
    pub fn write(&self, path: &Path) -> Result<(), FeaturesError> {
        #[cfg(feature = "parquet")]
        if path.extension().is_some_and(|ending| ending == "parquet") {
            return self.write_parquet(path);
        }
        let write =
            |path: &Path, text: &str| write_atomically(path, text.as_bytes()).map_err(io(path));
        match ending(path)? {
            Ending::Npy => {
                if let Some(name) = self.names.iter().find(|name| name.contains(['\n', '\r'])) {
                    let problem = format!("the name {name:?} has a line break; use .jsonl");
                    return Err(content(path, problem));
                }
                let shape = [self.names.len(), self.width];
                let array = Array::new(shape, self.values.clone());
                let array = array.map_err(|error| content(path, error.to_string()))?;
                write(&path.with_extension("txt"), &(self.names.join("\n") + "\n"))?;
                Ok(npy::write(path, &array)?)
            }
            Ending::JsonLines => {
                let mut text = String::new();
                for (name, row) in self.names.iter().zip(self.values.chunks(self.width)) {
                    let (photo, features) = (name.clone(), row.to_vec());
                    let line = serde_json::to_string(&Line { photo, features });
                    text += &line.map_err(|error| content(path, error.to_string()))?;
                    text.push('\n');
                }
                write(path, &text)
            }
        }
    }

    #[cfg(feature = "parquet")]
    fn write_parquet(&self, path: &Path) -> Result<(), FeaturesError> {
        use crate::parquet::{Column, Values, to_bytes};

        let names = self.names.iter().cloned().map(Some).collect();
        let features = Values::Lists {
            width: self.width,
            values: self.values.clone(),
        };
        let columns = [
            Column::new("photo", Values::Text(names)),
            Column::new("features", features),
        ];
        let bytes = to_bytes(&columns).map_err(|error| content(path, error.to_string()))?;
        write_atomically(path, &bytes).map_err(io(path))
    }
}

fn read_lines(path: &Path, text: &str) -> Result<FeatureTable, FeaturesError> {
    let (mut names, mut values, mut width) = (Vec::new(), Vec::new(), 0);
    for (number, line) in (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let wrong = |problem: String| content(path, format!("line {number}: {problem}"));
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if names.is_empty() {
            width = line.features.len();
        }
        if line.features.len() != width {
            let found = line.features.len();
            return Err(wrong(format!("expected {width} features, found {found}")));
        }
        names.push(line.photo);
        values.extend(line.features);
    }
    FeatureTable::new(names, width, values)
}

enum Ending {
    Npy,
    JsonLines,
}

fn ending(path: &Path) -> Result<Ending, FeaturesError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => Ok(Ending::Npy),
        Some("jsonl") => Ok(Ending::JsonLines),
        _ => Err(FeaturesError::Ending {
            path: path.to_path_buf(),
        }),
    }
}

fn read_text(path: &Path) -> Result<String, FeaturesError> {
    std::fs::read_to_string(path).map_err(io(path))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FeaturesError {
    move |source| FeaturesError::Io {
        path: path.to_path_buf(),
        source,
    }
}

fn content(path: &Path, problem: String) -> FeaturesError {
    FeaturesError::Content {
        path: path.to_path_buf(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> FeatureTable {
        let names = ["a b.jpg", "c\".png"].map(String::from).to_vec();
        FeatureTable::new(names, 3, vec![0.5, -1.25, 3e-8, 0.1, 0.0, 7.0]).unwrap()
    }

    #[test]
    fn both_kinds_come_back() {
        let folder = tempfile::tempdir().unwrap();
        for ending in ENDINGS {
            let path = folder.path().join(format!("x.{ending}"));
            table().write(&path).unwrap();
            assert_eq!(FeatureTable::read(&path).unwrap(), table());
        }
        let names = std::fs::read_to_string(folder.path().join("x.txt")).unwrap();
        assert_eq!(names, "a b.jpg\nc\".png\n");
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            FeatureTable::read(&path).unwrap_err().to_string()
        };
        let line = r#"{"photo":"a","features":[1,2]}"#;
        for (text, expected) in [
            ("", "found 0 rows"),
            (r#"{"photo":"a","features":[]}"#, "1 rows of 0"),
            (
                &format!("{line}\n{{\"photo\":\"b\",\"features\":[1]}}"),
                "line 2: expected 2 features, found 1",
            ),
            (
                r#"{"photo":"a","features":[1e99]}"#,
                "row 0 (a) has a feature that is inf",
            ),
            (r#"{"photo":"a","features":[NaN]}"#, "line 1: "),
            ("[1, 2]", "line 1: "),
        ] {
            let error = write("x.jsonl", text);
            assert!(
                error.contains("x.jsonl: ") && error.contains(expected),
                "{error}"
            );
        }
        assert!(write("x.parquet", "").contains(".npy or .jsonl"));
        assert!(write("x.npy", "").contains("x.npy"));

        let path = folder.path().join("y.npy");
        table().write(&path).unwrap();
        std::fs::write(path.with_extension("txt"), "one\n").unwrap();
        let error = FeatureTable::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("y.txt: expected 2 names, found 1"),
            "{error}"
        );
        let nan = Array::new([1, 2], vec![0.0, f32::NAN]).unwrap();
        npy::write(&path, &nan).unwrap();
        let error = FeatureTable::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("y.npy: row 0 (one) has a feature that is NaN"),
            "{error}"
        );
        npy::write(&path, &Array::new([2], vec![0.0; 2]).unwrap()).unwrap();
        let error = FeatureTable::read(&path).unwrap_err().to_string();
        assert!(error.contains("[photos, features], found [2]"), "{error}");

        let broken = FeatureTable::new(vec!["a\nb".into()], 1, vec![0.0]).unwrap();
        assert!(broken.write(&path).is_err());
        broken.write(&folder.path().join("z.jsonl")).unwrap();
        assert!(FeatureTable::new(vec!["a".into()], 2, vec![0.0]).is_err());
    }
}
