//! Opens a data set by its name or path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tfrecord::{TfRecordOptions, TfRecords};
use super::{DataError, ImageDataset, csv, fashion_mnist, image_folder};

/// Prefixes of the shards for evaluation. Those for training are `train-*`.
const TEST_SHARDS: [&str; 2] = ["validation", "test"];

/// A data set of any kind.
#[derive(Clone)]
pub struct OpenData {
    /// The part for training.
    pub train: Arc<dyn ImageDataset>,
    /// The part for evaluation, if there is one.
    pub test: Option<Arc<dyn ImageDataset>>,
}

/// Opens one of these:
/// * `fashion-mnist`, the built-in data set;
/// * a folder of TFRecord shards `train-*` and `validation-*` or `test-*`;
/// * a folder of class folders (see [`image_folder::open`]);
/// * a CSV list of paths and labels for training, or `LIST.csv,TEST.csv` with a second list for
///   evaluation.
///
/// # Errors
/// If it is none of these, or cannot be read.
pub fn open(name: &str) -> Result<OpenData, DataError> {
    if name == "fashion-mnist" {
        let splits = fashion_mnist::open()?;
        return Ok(OpenData {
            train: Arc::new(splits.train),
            test: Some(Arc::new(splits.test)),
        });
    }
    if name.ends_with(".csv") {
        return open_lists(name);
    }
    let dir = Path::new(name);
    if !dir.is_dir() {
        let expected = "fashion-mnist, a folder or a .csv list";
        return Err(DataError::malformed(name, expected, "neither"));
    }
    if has_shards(dir, "train")? {
        let open = |split: &str, names| {
            let options = TfRecordOptions {
                class_names: names,
                ..TfRecordOptions::default()
            };
            TfRecords::open_split(dir, split, options)
        };
        let train = open("train", None)?;
        let names = train.class_names().to_vec();
        let mut test: Option<Arc<dyn ImageDataset>> = None;
        for split in TEST_SHARDS {
            if test.is_none() && has_shards(dir, split)? {
                test = Some(Arc::new(open(split, Some(names.clone()))?));
            }
        }
        return Ok(OpenData {
            train: Arc::new(train),
            test,
        });
    }
    let splits = image_folder::open(dir)?;
    Ok(OpenData {
        train: Arc::new(splits.train),
        test: Some(Arc::new(splits.test)),
    })
}

/// The lists of `LIST.csv` or `LIST.csv,TEST.csv`: for training, and for evaluation.
pub fn list_parts(name: &str) -> (PathBuf, Option<PathBuf>) {
    match name.split_once(".csv,") {
        Some((train, test)) => (format!("{train}.csv").into(), Some(test.into())),
        None => (name.into(), None),
    }
}

fn open_lists(name: &str) -> Result<OpenData, DataError> {
    let (train, test) = list_parts(name);
    let train = csv::open(&train, None)?;
    let names = train.class_names().to_vec();
    let test = test
        .map(|test| csv::open(&test, Some(&names)))
        .transpose()?;
    Ok(OpenData {
        train: Arc::new(train),
        test: test.map(|test| Arc::new(test) as Arc<dyn ImageDataset>),
    })
}

fn has_shards(dir: &Path, split: &str) -> Result<bool, DataError> {
    let prefix = format!("{split}-");
    for entry in std::fs::read_dir(dir).map_err(DataError::read(dir))? {
        let entry = entry.map_err(DataError::read(dir))?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) && entry.path().is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}
