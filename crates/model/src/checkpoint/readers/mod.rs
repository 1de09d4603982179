//! Readers: bytes to named tensors, one module per format. They know nothing of MobileNet.
//!
//! | module | content |
//! |---|---|
//! | `format` | the table of formats: how each is recognised and read |
//! | `source` | the bytes of a file, and access to the other files of its folder |
//! | `budget` | limits of memory and file size |
//! | `tensors` | the tensors that readers return |
//! | `graph` | the network that readers return, where a file describes it |
//! | `json`, `protobuf`, `flatbuffer`, `zip_entry`, `hdf5` | encodings that several formats use |
//! | the others | one format each |

mod budget;
mod compressed;
mod error;
mod flatbuffer;
mod format;
pub(crate) mod graph;
mod graph_def;
mod hdf5;
mod json;
mod keras;
mod keras_config;
mod npz;
mod onnx;
mod protobuf;
mod pytorch;
mod safetensors;
mod saved_model;
mod source;
mod tensor_proto;
mod tensors;
mod tf_checkpoint;
mod tfjs;
mod tflite;
mod zip_entry;

pub use budget::ReadLimits;
pub use error::ReadError;
pub use format::Format;
pub use mobilenet_arrays::quantized::Quantization;
pub(in crate::checkpoint) use onnx::has_integers as onnx_has_integers;
pub(in crate::checkpoint) use safetensors::{entry, has_entry, part_sizes};
pub use source::{Folder, Source};
pub use tensors::{NamedTensors, RawTensor};
pub(in crate::checkpoint) use tflite::read_outline;
pub use tflite::{
    Branched, FloatLayer, TailInput, TailKind, TailOperator, has_custom_operator, has_integers,
    read_branches, read_float_branches, read_integers,
};

use budget::Budget;
pub(in crate::checkpoint) use tensors::check_bias_scales;
use tensors::{from_le_bytes, volume};
