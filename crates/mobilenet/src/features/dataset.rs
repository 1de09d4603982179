//! Features of a labelled data set, computed once and kept in a file.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use mobilenet_model::checkpoint::Checkpoint;
use mobilenet_model::file::write_atomically;
use mobilenet_train::TrainError;
use mobilenet_train::data::{ImageDataset, Skipped};

use super::compute::of_photos;
use super::table::FeatureTable;
use crate::classifier::Classifier;
use crate::error::Error;

/// Features of the photos that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetFeatures {
    /// `[photos, width]`.
    pub values: Vec<f32>,
    /// Features of a photo.
    pub width: usize,
    /// Their classes.
    pub labels: Vec<u32>,
    /// Their numbers in the data set.
    pub indices: Vec<usize>,
    /// The photos that cannot be used.
    pub skipped: Vec<Skipped>,
}

impl DatasetFeatures {
    /// Computes the features of all photos; `done` is called after each.
    ///
    /// # Errors
    /// [`Error::Train`] if no photo can be used.
    pub fn of(
        network: &Classifier,
        data: &dyn ImageDataset,
        done: impl Fn() + Sync,
    ) -> Result<Self, Error> {
        let load = |index: usize| {
            data.load(index)
                .map_err(TrainError::from)
                .map_err(Error::from)
        };
        let rows = of_photos(network, data.len(), load, done);
        let mut features = Self {
            values: Vec::new(),
            width: 0,
            labels: Vec::new(),
            indices: Vec::new(),
            skipped: Vec::new(),
        };
        for (index, row) in rows.into_iter().enumerate() {
            match row {
                Ok(row) => {
                    features.width = row.len();
                    features.values.extend(row);
                    features.labels.push(data.label(index) as u32);
                    features.indices.push(index);
                }
                Err(error) => features.skipped.push(Skipped {
                    index,
                    name: data.name(index),
                    reason: error.to_string(),
                }),
            }
        }
        match features.skipped.first() {
            Some(first) if features.labels.is_empty() => {
                let problem = format!("no photo can be used; the first: {}", first.reason);
                Err(super::FeaturesError::Rows(problem).into())
            }
            _ => Ok(features),
        }
    }

    /// Reads them from `file`, where [`keep`](Self::keep) has put them for the same `key`; `None` if
    /// they are not there.
    pub fn kept(file: &Path, key: &str, data: &dyn ImageDataset) -> Option<Self> {
        if std::fs::read_to_string(file.with_extension("key")).ok()? != key {
            return None;
        }
        let table = FeatureTable::read(file).ok()?;
        let width = table.width();
        let (names, values) = table.into_parts();
        let mut indices = Vec::with_capacity(names.len());
        let mut all = 0..data.len();
        for name in &names {
            indices.push(all.find(|&index| data.name(index) == *name)?);
        }
        // Only what was complete is kept.
        (indices.len() == data.len()).then(|| Self {
            values,
            width,
            labels: indices
                .iter()
                .map(|&index| data.label(index) as u32)
                .collect(),
            indices,
            skipped: Vec::new(),
        })
    }

    /// Keeps them in `file`, unless photos are missing, which may be there the next time.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, file: &Path, key: &str, data: &dyn ImageDataset) -> Result<(), Error> {
        if !self.skipped.is_empty() {
            return Ok(());
        }
        let names = self.indices.iter().map(|&index| data.name(index)).collect();
        FeatureTable::new(names, self.width, self.values.clone())?.write(file)?;
        let path = file.with_extension("key");
        write_atomically(&path, key.as_bytes())
            .map_err(|source| super::FeaturesError::Io { path, source }.into())
    }
}

/// All that features depend on: the weights, what they do with photos, and the photos' names, sizes
/// and times of change.
pub fn dataset_key(checkpoint: &Checkpoint, data: &dyn ImageDataset) -> String {
    let mut hasher = DefaultHasher::new();
    let parameters: BTreeMap<_, _> = checkpoint.parameters.iter().collect();
    for (name, array) in parameters {
        name.hash(&mut hasher);
        array
            .values()
            .iter()
            .for_each(|value| value.to_bits().hash(&mut hasher));
    }
    let mut key = format!("{:016x} {:?}\n", hasher.finish(), checkpoint.metadata);
    for index in 0..data.len() {
        let name = data.name(index);
        let file = std::fs::metadata(&name).ok();
        let changed = file.as_ref().and_then(|file| file.modified().ok());
        let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        key += &format!(
            "{name} {} {}\n",
            file.map_or(0, |file| file.len()),
            changed.map_or(0, |time| time.as_nanos())
        );
    }
    key
}
