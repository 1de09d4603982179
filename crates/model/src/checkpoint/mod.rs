//! A file of weights -> parameters of ours, and parameters -> a file of ours.
//!
//! ```text
//! file -> readers/<format>: bytes -> named tensors        (knows nothing of MobileNet)
//!      -> name_map/<framework>: their names and layouts -> ours
//!         (or the order of operations, where the file describes a graph)
//!      -> infer: shapes -> width, classes, input channels
//!      -> graph_facts: epsilon, activation, padding, input range
//!      -> LoadReport { applied, missing, unused, mismatched }
//!      -> Checkpoint { parameters, metadata, report }
//! ```
//!
//! The bytes are not trusted: no file can make a reader panic, hang, or take more memory than
//! [`ReadLimits`] allows.

mod error;
mod graph_facts;
mod hugging_face_config;
mod infer;
mod layout;
mod load;
mod metadata;
pub mod name_map;
mod onnx;
pub mod readers;
mod report;
mod write;

pub use error::{CheckpointError, ReadError};
pub use load::{Checkpoint, LoadOptions, load, load_as, load_with};
pub use metadata::{Activation, Metadata};
pub use onnx::save_onnx;
pub use readers::{Format, ReadLimits};
pub use report::{Applied, LoadReport, Mismatch};
pub use write::{WeightsDtype, save};
