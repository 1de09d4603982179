//! The errors of training.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use mobilenet_detect::DetectError;
use mobilenet_model::ModelError;
use mobilenet_model::checkpoint::CheckpointError;

use crate::data::DataError;

/// An error of training: invalid settings, wrong sizes, unusable files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is out of range.
    #[error("{setting} must be {range}, was {found}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// Allowed values.
        range: &'static str,
        /// The value given.
        found: String,
    },
    /// A slice has the wrong length.
    #[error("expected {expected} values of {what}, found {found}")]
    Length {
        /// Meaning of the values.
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
    /// Stored optimiser state does not have exactly the slots of this optimiser.
    #[error("the optimiser has the slots {expected:?}, found {found:?}")]
    Slots {
        /// Names of this optimiser's slots.
        expected: Vec<&'static str>,
        /// Names of the stored slots.
        found: Vec<String>,
    },
    /// A label is not a class.
    #[error("example {example}: expected a label below {classes}, found {found}")]
    Label {
        /// Position in the batch.
        example: usize,
        /// Number of classes.
        classes: usize,
        /// The label given.
        found: u32,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {problem}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        problem: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {problem}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        problem: String,
    },
    /// Training diverged. The state is still that before the step.
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
        /// The photos of the batch, with the first few names.
        photos: String,
    },
    /// The folder already has a training.
    #[error(
        "{path} is there already: resume it, or use another folder",
        path = path.display()
    )]
    Exists {
        /// Its newest checkpoint.
        path: PathBuf,
    },
    /// The checkpoint belongs to a training with another recipe.
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
    /// A step's shards cannot be shared out among so many ranks.
    #[error(
        "{shards} shards can be computed by {possible} ranks, not by {found}: each rank gets the \
         same number of them, a power of two or all"
    )]
    Ranks {
        /// Shards of a step.
        shards: usize,
        /// Possible numbers of ranks.
        possible: String,
        /// Number of ranks.
        found: usize,
    },
    /// There is no such rank.
    #[error("there is no rank {rank} among {ranks}")]
    NoRank {
        /// The rank.
        rank: usize,
        /// Number of ranks.
        ranks: usize,
    },
    /// A rank has ended before the others.
    #[error("rank {rank} has ended")]
    RankEnded {
        /// The rank.
        rank: usize,
    },
    /// A message has not come in time.
    #[error("{} for {seconds} seconds", match rank {
        Some(rank) => format!("rank {rank} has sent nothing"),
        None => "no rank has sent anything".to_string(),
    })]
    Silence {
        /// The rank, if the message of a certain one was waited for.
        rank: Option<usize>,
        /// The time.
        seconds: f64,
    },
    /// A rank was started with something else than rank 0.
    #[error("rank {rank} differs from rank 0: {what}: {found} instead of {expected}")]
    RankDiffers {
        /// The rank.
        rank: usize,
        /// What differs.
        what: String,
        /// What rank 0 has.
        expected: String,
        /// What the rank has.
        found: String,
    },
    /// Another rank reports why the training ends.
    #[error("rank {rank} ends the training: {problem}")]
    OtherRank {
        /// The rank.
        rank: usize,
        /// What it reports.
        problem: String,
    },
    /// A message between ranks cannot be written or read.
    #[error("a message between ranks is wrong: {problem}")]
    Message {
        /// What is wrong.
        problem: String,
    },
    /// The detector cannot be built or read.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network cannot be built, or not be trained in this way.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The weights cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A figure of the report cannot be drawn.
    #[error("cannot draw {figure}: {problem}")]
    Draw {
        /// Name of the figure.
        figure: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl TrainError {
    /// The error of rank `of` as rank `by` sees it. So one rank alone tells the user about it.
    pub(crate) fn seen_by(self, by: usize, of: usize) -> Self {
        if by == of {
            return self;
        }
        Self::OtherRank {
            rank: of,
            problem: self.to_string(),
        }
    }

    /// For `map_err`: a message between ranks is wrong.
    pub(crate) fn message<E: Display>(problem: E) -> Self {
        Self::Message {
            problem: problem.to_string(),
        }
    }

    /// For `map_err`: the file cannot be written.
    pub(crate) fn write<E: Display>(path: &Path) -> impl FnOnce(E) -> Self {
        move |problem| Self::Write {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    /// For `map_err`: the file cannot be read.
    pub(crate) fn read<E: Display>(path: &Path) -> impl FnOnce(E) -> Self {
        move |problem| Self::Read {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    /// An error if the lengths differ.
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
