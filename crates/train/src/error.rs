//! The errors of training.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use mobilenet_model::ModelError;
use mobilenet_model::checkpoint::CheckpointError;

use crate::data::DataError;

/// A setting out of its range, data of another size than stated, a file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting out of its range.
    #[error("{setting} must be {range}, was {found}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// Allowed values.
        range: &'static str,
        /// The value given.
        found: String,
    },
    /// A slice of another length than what it belongs to.
    #[error("expected {expected} values of {what}, found {found}")]
    Length {
        /// What the values are.
        what: String,
        /// Values needed.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// Parameter groups must cover the weights in order, without gaps or overlaps.
    #[error(
        "parameter group {group} begins at value {found}, expected {expected}: \
         groups cover all weights in order"
    )]
    Groups {
        /// Position in the list of groups.
        group: usize,
        /// Where it should begin.
        expected: usize,
        /// Where it begins.
        found: usize,
    },
    /// Stored optimiser state without one of the slots of this optimiser, or with another.
    #[error("the optimiser has the slots {expected:?}, found {found:?}")]
    Slots {
        /// Names of this optimiser's slots.
        expected: Vec<&'static str>,
        /// Names stored.
        found: Vec<String>,
    },
    /// A label that is no class.
    #[error("example {example}: expected a label below {classes}, found {found}")]
    Label {
        /// Position in the batch.
        example: usize,
        /// Number of classes.
        classes: usize,
        /// The label given.
        found: u32,
    },
    /// A file that cannot be written.
    #[error("cannot write {path}: {problem}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {path}: {problem}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Training diverged; the state is that before the step.
    #[error("the {what} of step {step} is not finite: the training has diverged")]
    NotFinite {
        /// The step, counted from 0.
        step: u64,
        /// What is not finite.
        what: &'static str,
    },
    /// [`Self::NotFinite`] with the photos of the batch.
    #[error(
        "the {what} of step {step} is not finite: the training has diverged, with {photos}; \
         the last checkpoint is good: a lower learning rate, or clipping, may help"
    )]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// What is not finite.
        what: &'static str,
        /// Photos of the batch, the first few by name.
        photos: String,
    },
    /// The folder has a training already.
    #[error(
        "{path} is there already: resume it, or use another folder",
        path = path.display()
    )]
    Exists {
        /// Its newest checkpoint.
        path: PathBuf,
    },
    /// A checkpoint of a training by other rules.
    #[error(
        "{path} is of another recipe: {difference}; use another folder, or the settings of before",
        path = path.display()
    )]
    OtherRecipe {
        /// The checkpoint.
        path: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// Data that cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A network that cannot be trained so.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Weights that cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A figure of the report that cannot be drawn.
    #[error("cannot draw {figure}: {problem}")]
    Draw {
        /// What was to be drawn.
        figure: &'static str,
        /// What the drawing library says.
        problem: String,
    },
}

impl TrainError {
    /// For `map_err`: a file that cannot be written.
    pub(crate) fn write<E: Display>(path: &Path) -> impl FnOnce(E) -> Self {
        move |problem| Self::Write {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    /// For `map_err`: a file that cannot be read.
    pub(crate) fn read<E: Display>(path: &Path) -> impl FnOnce(E) -> Self {
        move |problem| Self::Read {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    /// `Err` where lengths differ.
    pub(crate) fn check_length(
        what: &str,
        expected: usize,
        found: usize,
    ) -> Result<(), TrainError> {
        if expected == found {
            return Ok(());
        }
        Err(Self::Length {
            what: what.to_string(),
            expected,
            found,
        })
    }
}
