//! Training of MobileNetV1 after slim's scripts: data and augmentation, optimisers, schedules,
//! losses and metrics on plain slices, logs, and a report. Every part can be used alone.
//!
//! The feature `report` (on by default) adds the library that draws the report's figures.

pub mod augment;
pub mod checkpoint;
pub mod data;
pub mod detection;
pub mod evaluation;
pub mod fine_tune;
pub mod head;
pub mod heads;
pub mod layout;
pub mod log;
pub mod loss;
pub mod metrics;
pub mod moving_average;
pub mod optimizer;
pub mod parallel;
pub mod places;
mod preset;
pub mod quantization;
pub mod recipe;
#[cfg(feature = "report")]
pub mod report;
pub mod run;
pub mod schedule;
pub mod trainer;

mod bits;
mod checksum;
mod error;
mod file;

pub use error::TrainError;
pub use recipe::Recipe;
pub use trainer::Trainer;
