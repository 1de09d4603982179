//! A file of weights -> parameters of ours, and parameters -> a file for us or a framework.
//!
//! ```text
//! path -> locate: the file that a reader begins with
//!      -> readers/<format>: bytes -> named tensors        (knows nothing of MobileNet)
//!      -> name_map/<framework>: their names and layouts -> ours
//!         (or the order of operations, where the file describes a graph)
//!      -> infer: shapes -> width, classes, input channels
//!      -> graph_facts: epsilon, activation, padding, input range
//!      -> LoadReport { applied, missing, unused, mismatched, training }, or a Misfit
//!      -> Checkpoint { parameters, metadata, report }
//! Checkpoint -> verify: its logits against a reference
//!            -> write: a file with our names, or those of a framework
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
mod loading;
mod locate;
mod metadata;
mod misfit;
pub mod name_map;
mod onnx;
mod options;
pub mod readers;
mod report;
mod verify;
mod write;

pub use error::CheckpointError;
pub use load::{Checkpoint, load, load_bytes, load_with};
pub use loading::loading;
pub use locate::exists;
pub use metadata::{Activation, KEY as METADATA_KEY, Metadata};
pub use misfit::Misfit;
pub use name_map::Framework;
pub use onnx::save_onnx;
pub use options::LoadOptions;
pub use readers::{Format, ReadError, ReadLimits};
pub use report::{Applied, LoadReport, Mismatch};
pub use verify::{Agreement, Reference};
pub use write::{WeightsDtype, save, save_as};
