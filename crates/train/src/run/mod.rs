//! A whole training: data, steps, evaluations, checkpoints and logs. It can be resumed.
//!
//! ```text
//! OUT/model.safetensors   weights after the last evaluation, an ordinary file of weights
//! OUT/model.int8.tflite   the same as a network of integers, if training rounds
//! OUT/checkpoints/        the last few states
//! OUT/log.jsonl           every record; OUT/events.out.tfevents.* for TensorBoard
//! OUT/report/             curves, confusion matrix, worst photos
//! ```

mod evaluate;
mod labelled;
mod options;
pub(crate) mod output;
mod replicas;
#[cfg(feature = "report")]
mod report;
pub(crate) mod terms;
pub(crate) mod training;
mod word;

pub use options::{Job, Observer, Replicas, RunOptions, RunOutcome};

use std::sync::atomic::AtomicBool;

use mobilenet_model::InferencePlan;

use crate::error::TrainError;
use crate::parallel::Communicator;

/// Trains. If `stop` is set on any rank, all of them finish the step, rank 0 saves, and they return.
///
/// # Errors
/// If settings, data or files cannot be used, or the training diverges. Earlier checkpoints stay
/// valid. A rank that learns of another one's error returns [`TrainError::OtherRank`].
pub fn run(
    job: Job<'_>,
    teacher: Option<InferencePlan>,
    communicator: &mut dyn Communicator,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<RunOutcome, TrainError> {
    let replicas = job.replicas;
    let mut training = labelled::start(job, teacher, communicator, observer)?;
    let interrupted = match replicas {
        None => training.steps(stop)?,
        Some(replicas) => replicas::steps(&mut training, replicas, stop)?,
    };
    training.outcome(interrupted)
}
