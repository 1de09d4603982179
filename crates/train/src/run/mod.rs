//! A whole training: data, steps, evaluations, checkpoints and logs. It can be resumed.
//!
//! ```text
//! OUT/model.safetensors   weights after the last evaluation, an ordinary file of weights
//! OUT/model.int8.tflite   the same as a network of integers, if training rounds
//! OUT/checkpoints/        the last few states
//! OUT/log.jsonl           every record; OUT/events.out.tfevents.* for TensorBoard
//! OUT/report/             curves, confusion matrix, worst photos
//! ```

mod options;
#[cfg(feature = "report")]
mod report;
mod training;

pub use options::{Observer, RunOptions, RunOutcome};

use std::sync::atomic::AtomicBool;

use mobilenet_model::InferencePlan;
use mobilenet_model::checkpoint::Checkpoint;

use crate::data::OpenData;
use crate::error::TrainError;
use crate::recipe::Recipe;
use training::Training;

/// Trains. `initial` has the weights before the first step, and their metadata. If `stop` is set,
/// the run finishes the step, saves, and returns.
///
/// # Errors
/// If settings, data or files cannot be used, or the training diverges. Earlier checkpoints stay
/// valid.
pub fn run(
    recipe: Recipe,
    initial: Checkpoint,
    data: &OpenData,
    teacher: Option<InferencePlan>,
    options: &RunOptions,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<RunOutcome, TrainError> {
    let mut training = Training::new(recipe, initial, data, teacher, options, observer)?;
    let interrupted = training.steps(stop)?;
    let evaluation = if interrupted {
        None
    } else {
        training.finish()?
    };
    Ok(training.outcome(interrupted, evaluation))
}
