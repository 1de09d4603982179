//! Loads files of weights as our parameters, and writes parameters to files.
//!
//! ```text
//! path    -> locate    finds the file to read
//!         -> readers   bytes -> named tensors; one module per format, nothing of MobileNet
//! tensors -> resolve   finds the tensor of each parameter, by
//!              name_map   names and layouts of a framework, one file each, or
//!              graph      the order of operations, where the file describes a graph
//!         -> describe  metadata from the file, its folder and the caller
//!              infer      shapes -> width, classes, input channels
//!              graph      epsilon, activation, padding, input range
//!         -> assemble  parameters in our layout, and a report on every tensor, or a misfit
//!         -> Checkpoint { parameters, metadata, report }
//! Checkpoint -> verify   compares its logits with a reference
//!            -> write    a file with our names, or those of a framework
//! ```
//!
//! Files are not trusted: no file can make a reader panic, hang, or take more memory than
//! [`ReadLimits`] allows.

mod assemble;
mod coded;
mod compression;
mod describe;
mod draft;
mod error;
mod framework_call;
mod graph;
mod hugging_face_config;
mod infer;
mod integer_constants;
mod integer_graph;
mod integer_ranges;
mod integer_structure;
mod integer_tensors;
mod integers;
pub(crate) mod layout;
mod load;
mod locate;
mod metadata;
mod misfit;
mod model;
mod name_map;
mod options;
pub mod readers;
mod report;
mod resolve;
mod verify;
mod write;

pub use coded::{CodedTensor, CodedTensors, Levels};
pub use compression::{CodedLayer, Compression, compression_of};
pub use error::CheckpointError;
pub use framework_call::framework_call;
pub use graph::{Convolutions, GraphConvolution, convolutions};
pub use integers::{
    QuantizedCheckpoint, integers_of, is_quantized, load_integers, load_quantized,
    load_quantized_bytes,
};
pub use load::{load, load_bytes, load_tensors, load_with, read_file};
pub use locate::exists;
pub use metadata::{KEY as METADATA_KEY, Metadata, SavedActivation};
pub use misfit::Misfit;
pub use model::Checkpoint;
pub use name_map::Framework;
pub use options::LoadOptions;
pub use readers::{Format, ReadError, ReadLimits};
pub use report::{Applied, LoadReport, Mismatch};
pub use verify::{Agreement, Reference};
pub use write::{
    WeightsDtype, save, save_as, save_compressed, save_integer_onnx, save_integer_safetensors,
    save_integer_tflite, save_onnx, save_tflite,
};
