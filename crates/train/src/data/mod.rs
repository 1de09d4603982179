//! Labelled photos for training and evaluation, and their batches.
//!
//! | item | what |
//! |---|---|
//! | [`ImageDataset`] | what every data set can do |
//! | [`open`] | a data set of any kind, by the name or path that a user gives |
//! | [`image_folder`] | a folder of class folders |
//! | [`csv`] | a list of paths and labels |
//! | [`photo_list`] | a folder of photos, and a file with one class index a line |
//! | [`idx`], [`fashion_mnist`] | MNIST's format, and the built-in data set |
//! | [`tfrecord`] | slim's ImageNet shards |
//! | [`InClassesOf`] | a data set in the class numbers of weights, by names |
//! | [`copies()`] | photos of one part that are in the other, too |
//! | [`Loader`] | random batches of a training, made ahead on worker threads |
//! | [`Part`] | which photos of each batch one of several processes makes |
//! | [`EvaluationBatches`] | every photo once, in order, by the weights' own preprocessing |

mod ahead;
mod batch;
mod copies;
pub mod csv;
mod error;
mod evaluation;
pub mod fashion_mnist;
mod files;
pub mod idx;
pub mod image_folder;
mod in_classes_of;
mod loader;
mod open;
mod order;
mod part;
pub mod photo_list;
mod skipped;
pub mod tfrecord;

pub use batch::Batch;
pub use copies::{CopyOf, copies};
pub use error::DataError;
pub use evaluation::{EvaluationBatches, EvaluationConfig};
pub use files::ImageFiles;
pub use in_classes_of::InClassesOf;
pub use loader::{Loader, LoaderConfig};
pub use mobilenet_model::preprocess::Photo;
pub use open::{OpenData, open};
pub use part::Part;
pub use skipped::Skipped;

/// Most classes that a data set may have; bounds what a wild label can make us allocate.
pub const MOST_CLASSES: usize = 1 << 20;

/// Photos with one class each, read on demand from any thread.
///
/// Methods that take an index panic where it is not below [`len`](Self::len), as slices do.
pub trait ImageDataset: Send + Sync {
    /// Number of photos.
    fn len(&self) -> usize;

    /// Whether there are no photos.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names by class index.
    fn class_names(&self) -> &[String];

    /// Class index of a photo, below the number of class names.
    fn label(&self, index: usize) -> usize;

    /// Reads and decodes a photo.
    ///
    /// # Errors
    /// If it cannot be read, or is no photo.
    fn load(&self, index: usize) -> Result<Photo, DataError>;

    /// What to call a photo in messages: its path, or its file and number.
    fn name(&self, index: usize) -> String;
}

/// A data set in two parts with the same classes.
#[derive(Debug, Clone)]
pub struct Splits<D> {
    /// To train on.
    pub train: D,
    /// To evaluate on.
    pub test: D,
}

/// `"0"`, `"1"`, ... for classes without names.
fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}
