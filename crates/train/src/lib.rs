//! Training of MobileNetV1 after slim's scripts: optimisers, schedules, losses and metrics on plain slices, logs, and a report. Every part can be used alone.
//!
//! The feature `report` (on by default) adds the library that draws the report's figures.

pub mod checkpoint;
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
mod error;
mod file;
mod in_classes_of;

pub use error::TrainError;
pub use in_classes_of::InClassesOf;
pub use mobilenet_data as data;
pub use mobilenet_data::augment;
pub use recipe::Recipe;
pub use trainer::Trainer;
