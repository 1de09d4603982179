//! Training of MobileNetV1 after slim's scripts: data and its augmentation, optimisers, schedules,
//! losses and metrics on plain slices, logs, and a report. Every part is usable alone.

pub mod augment;
pub mod data;
pub mod log;
pub mod loss;
pub mod metrics;
pub mod moving_average;
pub mod optimizer;
pub mod report;
pub mod schedule;

mod error;
mod file;

pub use error::TrainError;
