//! The records of a training: JSON lines, TensorBoard event files, and the history
//! that its report is drawn from.

mod event;
mod history;
mod json_lines;
mod record_file;
mod tensorboard;

pub use history::{EpochRecord, History, Record, StepRecord};
pub use json_lines::JsonLines;
pub use tensorboard::TensorBoard;
