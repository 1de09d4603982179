//! The records of a training: JSON lines, TensorBoard event files, and the history for its report.

mod event;
mod history;
mod json_lines;
mod record_file;
mod tensorboard;

pub use history::{
    DetectionRecord, EpochRecord, History, Measure, MeasureRecord, Record, StepRecord,
};
pub use json_lines::JsonLines;
pub use tensorboard::TensorBoard;
