//! A file of weights -> parameters of ours, and parameters -> a file of ours.
//!
//! ```text
//! path -> locate: the file that a reader begins with
//!      -> readers/<format>: bytes -> named tensors        (knows nothing of MobileNet)
//!      -> name_map/<framework>: their names and layouts -> ours
//!      -> infer: shapes -> width, classes, input channels
//!      -> LoadReport { applied, missing, unused, mismatched, training }, or a Misfit
//!      -> Checkpoint { parameters, metadata, report }
//! ```
//!
//! The bytes are not trusted: no file can make a reader panic, hang, or take more memory than
//! [`ReadLimits`] allows.

mod error;
mod hugging_face_config;
mod infer;
mod layout;
mod load;
mod locate;
mod metadata;
mod misfit;
pub mod name_map;
pub mod readers;
mod report;
mod write;

pub use error::{CheckpointError, ReadError};
pub use load::{Checkpoint, LoadOptions, load, load_with};
pub use locate::exists;
pub use metadata::Metadata;
pub use misfit::Misfit;
pub use readers::{Format, ReadLimits};
pub use report::{Applied, LoadReport, Mismatch};
pub use write::{WeightsDtype, save};
