//! Labelled photos for training and evaluation, and their batches.
//!
//! | item | content |
//! |---|---|
//! | [`ImageDataset`] | the trait of all data sets |
//! | [`open`] | opens a data set of any kind by its name or path |
//! | [`image_folder`] | a folder of class folders |
//! | [`csv`] | a list of paths and labels |
//! | [`attributes`] | a list of photos with attributes |
//! | [`vectors`] | a list of photos with vectors |
//! | [`pairs`] | a list of pairs of photos |
//! | [`Targets`] | what the outputs should be, where photos have no class |
//! | [`photo_list`] | a folder of photos, and a file with one class index per line |
//! | [`idx`], [`fashion_mnist`] | MNIST's format, and the built-in data set |
//! | [`tfrecord`] | slim's ImageNet shards |
//! | [`augment`] | slim's random crops, flips and colours |
//! | [`Loader`] | random batches for training, prepared by worker threads |
//! | [`Part`] | the share of one process in each batch |
//! | [`EvaluationBatches`] | every photo once, in order, with the weights' preprocessing |
//! | [`annotations`] | photos with boxes, for detectors |
//! | [`identity()`] | tells data sets apart, by names and classes |
//! | [`copies()`] | photos of one part that are in the other, too |

mod ahead;
pub mod annotations;
pub mod attributes;
pub mod augment;
mod batch;
pub mod checksum;
mod copies;
pub mod csv;
mod error;
mod evaluation;
pub mod fashion_mnist;
mod files;
mod identity;
pub mod idx;
pub mod image_folder;
mod loader;
mod open;
mod order;
pub mod pairs;
mod part;
pub mod photo_list;
mod skipped;
mod table;
mod target_photos;
mod targets;
pub mod tfrecord;
pub mod vectors;

pub use batch::Batch;
pub use copies::{CopyOf, copies};
pub use error::DataError;
pub use evaluation::{EvaluationBatches, EvaluationConfig};
pub use files::ImageFiles;
pub use identity::identity;
pub use loader::{Answer, TrainingPhotos, not_empty};
pub use loader::{Loader, LoaderConfig};
pub use mobilenet_photos::Photo;
pub use open::{OpenData, list_parts, open};
pub use part::Part;
pub use skipped::Skipped;
pub use skipped::{SkippedList, Tolerance};
pub use table::Table;
pub use target_photos::TargetPhotos;
pub use targets::{MOST_TARGETS, Targets};

use std::sync::Arc;

/// Most classes of a data set. It limits the memory that a wrong label can make us allocate.
pub const MOST_CLASSES: usize = 1 << 20;

/// Photos with one class each, which any thread can read on demand.
///
/// Methods that take an index panic if it is not below [`len`](Self::len), as slices do.
pub trait ImageDataset: Send + Sync {
    /// Number of photos.
    fn len(&self) -> usize;

    /// Whether there are no photos.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names by class index.
    fn class_names(&self) -> &[String];

    /// Class index of a photo, below the number of class names. With [`targets`](Self::targets), the
    /// number of the photo's row.
    fn label(&self, index: usize) -> usize;

    /// Reads and decodes a photo.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a photo.
    fn load(&self, index: usize) -> Result<Photo, DataError>;

    /// Name of a photo in messages: its path, or its file and number.
    fn name(&self, index: usize) -> String;

    /// What the network's outputs should be, if photos have no class.
    fn targets(&self) -> Option<&Arc<Targets>> {
        None
    }
}

/// A data set in two parts with the same classes.
#[derive(Debug, Clone)]
pub struct Splits<D> {
    /// The part for training.
    pub train: D,
    /// The part for evaluation.
    pub test: D,
}

/// `"0"`, `"1"`, ... for classes without names.
fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}
