//! TFRecord files in the layout of slim's ImageNet: one `tf.train.Example` per photo, with
//! `image/encoded` (JPEG or PNG), `image/class/label` (int64) and optionally `image/class/text`.

mod example;
mod framing;

use std::path::{Path, PathBuf};

use mobilenet_photos::{DecodeLimits, Photo, decode};

use super::{DataError, ImageDataset, MOST_CLASSES};
use example::Example;
use framing::{Records, read_at};

/// Most bytes of a record besides its photo.
const BESIDE_PHOTO: u64 = 1 << 20;

/// Longest class name that is kept, in bytes. Longer names are ignored.
const NAME_BYTES: usize = 1024;

/// How to read records.
#[derive(Debug, Clone, Default)]
pub struct TfRecordOptions {
    /// Subtracted from each label (slim's `labels_offset`): 1 drops ImageNet's background class.
    pub label_offset: i64,
    /// Names by class index, after the offset. `None`: names are the texts of the records, or
    /// numbers.
    pub class_names: Option<Vec<String>>,
    /// Limits of each photo.
    pub limits: DecodeLimits,
}

/// Photos in TFRecord shards.
#[derive(Debug, Clone)]
pub struct TfRecords {
    shards: Vec<PathBuf>,
    records: Vec<Record>,
    class_names: Vec<String>,
    limits: DecodeLimits,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    shard: u32,
    label: u32,
    length: u32,
    start: u64,
}

impl TfRecords {
    /// Opens the shards of one part of a data set: the files of a folder whose names begin with
    /// `split` and a hyphen, for example `train-00000-of-01024`.
    ///
    /// # Errors
    /// As [`Self::open`], and if there are no such files.
    pub fn open_split(
        dir: &Path,
        split: &str,
        options: TfRecordOptions,
    ) -> Result<Self, DataError> {
        let prefix = format!("{split}-");
        let mut shards = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(DataError::read(dir))? {
            let entry = entry.map_err(DataError::read(dir))?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                shards.push(entry.path());
            }
        }
        shards.sort();
        if shards.is_empty() {
            let expected = format!("files {prefix}*");
            return Err(DataError::malformed(dir.display(), expected, "none"));
        }
        Self::open(shards, options)
    }

    /// Opens shards. Every record is read once to find its offset and label. Photos are read and
    /// decoded when they are needed.
    ///
    /// # Errors
    /// If a shard cannot be read, a record is broken, lacks its photo or label, or exceeds the
    /// limits, or a label has no class.
    pub fn open(shards: Vec<PathBuf>, options: TfRecordOptions) -> Result<Self, DataError> {
        let limit = options.limits.file_bytes.saturating_add(BESIDE_PHOTO);
        // A length is stored as a u32.
        let limit = limit.min(u64::from(u32::MAX));
        let classes = options.class_names.as_ref().map_or(MOST_CLASSES, Vec::len);
        let mut records = Vec::new();
        let mut texts: Vec<Option<String>> = Vec::new();
        let mut bytes = Vec::new();
        for (shard, path) in (0..).zip(&shards) {
            let mut reader = Records::open(path, limit)?;
            while let Some(start) = reader.next_into(&mut bytes)? {
                let location = || format!("{}, record at byte {start}", path.display());
                let example = Example::parse(&bytes)
                    .map_err(|problem| DataError::malformed(location(), "an Example", problem))?;
                let label = example
                    .label
                    .checked_sub(options.label_offset)
                    .and_then(|label| usize::try_from(label).ok())
                    .filter(|&label| label < classes)
                    .ok_or_else(|| {
                        let offset = options.label_offset;
                        let expected = format!("a label from {offset}, of {classes} classes");
                        DataError::malformed(location(), expected, example.label)
                    })?;
                if label >= texts.len() {
                    texts.resize(label + 1, None);
                }
                let text = example.text.filter(|text| text.len() <= NAME_BYTES);
                if let (name @ None, Some(text)) = (&mut texts[label], text) {
                    *name = Some(text.to_string());
                }
                records.push(Record {
                    shard,
                    label: label as u32,
                    length: bytes.len() as u32,
                    start,
                });
            }
        }
        let named = texts.into_iter().enumerate();
        let class_names = options.class_names.unwrap_or_else(|| {
            named
                .map(|(class, text)| text.unwrap_or_else(|| class.to_string()))
                .collect()
        });
        Ok(Self {
            shards,
            records,
            class_names,
            limits: options.limits,
        })
    }

    fn shard(&self, record: Record) -> &Path {
        &self.shards[record.shard as usize]
    }
}

impl ImageDataset for TfRecords {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn label(&self, index: usize) -> usize {
        self.records[index].label as usize
    }

    fn load(&self, index: usize) -> Result<Photo, DataError> {
        let record = self.records[index];
        let bytes = read_at(self.shard(record), record.start, record.length)?;
        let example = Example::parse(&bytes)
            .map_err(|problem| DataError::malformed(self.name(index), "an Example", problem))?;
        Ok(decode(&self.name(index), example.encoded, self.limits)?)
    }

    fn name(&self, index: usize) -> String {
        let record = self.records[index];
        format!(
            "{}, record at byte {}",
            self.shard(record).display(),
            record.start
        )
    }
}
