//! Bytes -> named tensors, one module a format. Readers know the format and nothing of MobileNet.

mod budget;
mod flatbuffer;
pub(crate) mod graph;
mod graph_def;
mod hdf5;
mod keras;
mod keras_config;
mod npz;
mod onnx;
mod onnx_integers;
mod onnx_nodes;
mod protobuf;
mod pytorch;
mod safetensors;
mod saved_model;
mod source;
mod tensor_proto;
mod tf_checkpoint;
mod tfjs;
mod tflite;
mod tflite_operators;
mod zip_entry;

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{DType, Device, Tensor};
use serde::de::DeserializeOwned;

use super::error::ReadError;
use budget::Budget;

pub use source::{Folder, Source};

/// What reading may take, whatever the files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of all files of a checkpoint together.
    pub file_bytes: u64,
    /// Bytes of tensors beyond four times the files: a file can describe more than it holds, for
    /// example a constant by its shape and one value.
    pub extra_bytes: u64,
}

impl Default for ReadLimits {
    /// 1 GiB of files, 64 MiB beyond four times the files.
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            extra_bytes: 64 << 20,
        }
    }
}

/// A file format, recognised by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// The index of safetensors in several files.
    SafetensorsIndex,
    /// Frozen TensorFlow graph.
    GraphDef,
    /// TensorFlow's SavedModel.
    SavedModel,
    /// TensorFlow's checkpoints, V1 and V2.
    TensorFlowCheckpoint,
    /// TensorFlow.js' `model.json`.
    TensorFlowJs,
    /// `torch.save`'s zip.
    PyTorch,
    /// What `torch.save` wrote before version 1.6.
    PyTorchLegacy,
    /// NumPy's zip of arrays.
    Npz,
    /// Keras' HDF5 file, of a whole model or of weights.
    KerasH5,
    /// Keras 3's zip.
    Keras,
    /// ONNX.
    Onnx,
    /// TFLite, float or quantised.
    Tflite,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::SafetensorsIndex => "safetensors index",
            Self::GraphDef => "TensorFlow GraphDef",
            Self::SavedModel => "TensorFlow SavedModel",
            Self::TensorFlowCheckpoint => "TensorFlow checkpoint",
            Self::TensorFlowJs => "TensorFlow.js model",
            Self::PyTorch => "PyTorch zip",
            Self::PyTorchLegacy => "PyTorch pickle",
            Self::Npz => "NumPy npz",
            Self::KerasH5 => "Keras HDF5",
            Self::Keras => "Keras zip",
            Self::Onnx => "ONNX",
            Self::Tflite => "TFLite",
        })
    }
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 13] = [
        Self::Safetensors,
        Self::SafetensorsIndex,
        Self::GraphDef,
        Self::SavedModel,
        Self::TensorFlowCheckpoint,
        Self::TensorFlowJs,
        Self::PyTorch,
        Self::PyTorchLegacy,
        Self::Npz,
        Self::KerasH5,
        Self::Keras,
        Self::Onnx,
        Self::Tflite,
    ];

    /// Recognises a format by the file's content; the name does not count.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let header = bytes
            .first_chunk::<8>()
            .map(|length| u64::from_le_bytes(*length));
        if npz::looks_like(bytes) {
            Some(Self::Npz)
        } else if bytes.starts_with(b"PK\x03\x04") {
            Some(zip_format(bytes))
        } else if bytes.starts_with(hdf5::SIGNATURE) {
            Some(Self::KerasH5)
        } else if tflite::looks_like(bytes) {
            Some(Self::Tflite)
        } else if pytorch::is_legacy(bytes) {
            Some(Self::PyTorchLegacy)
        } else if tf_checkpoint::looks_like(bytes) {
            Some(Self::TensorFlowCheckpoint)
        } else if safetensors::is_index(bytes) {
            Some(Self::SafetensorsIndex)
        } else if tfjs::looks_like(bytes) {
            Some(Self::TensorFlowJs)
        } else if header.is_some_and(|length| length < 1 << 32) && bytes.get(8) == Some(&b'{') {
            Some(Self::Safetensors)
        } else if saved_model::looks_like(bytes) {
            Some(Self::SavedModel)
        } else if graph_def::looks_like(bytes) {
            Some(Self::GraphDef)
        } else if onnx::looks_like(bytes) {
            Some(Self::Onnx)
        } else {
            None
        }
    }

    /// Reads all tensors of a file that stands alone. Formats of several files need
    /// [`Format::read_from`].
    ///
    /// # Errors
    /// Where the bytes break the format's rules, or exceed the limits.
    pub fn read(self, bytes: &[u8], limits: ReadLimits) -> Result<NamedTensors, ReadError> {
        let source = Source {
            name: "file",
            bytes,
            folder: &BTreeMap::new(),
        };
        self.read_from(&source, limits)
    }

    /// Reads all tensors of a file and of the files that belong to it.
    ///
    /// # Errors
    /// Where the bytes break the format's rules, exceed the limits, or a file is not there.
    pub fn read_from(
        self,
        source: &Source<'_>,
        limits: ReadLimits,
    ) -> Result<NamedTensors, ReadError> {
        let mut budget = Budget::new(limits);
        budget.opened(source.bytes.len() as u64);
        let budget = &mut budget;
        match self {
            Self::Safetensors => safetensors::read(source.bytes, budget),
            Self::SafetensorsIndex => safetensors::read_index(source, budget),
            Self::GraphDef => graph_def::read(source.bytes, budget),
            Self::SavedModel => saved_model::read(source, budget),
            Self::TensorFlowCheckpoint => tf_checkpoint::read(source, budget),
            Self::TensorFlowJs => tfjs::read(source, budget),
            Self::PyTorch => pytorch::read(source.bytes, budget),
            Self::PyTorchLegacy => pytorch::read_legacy(source.bytes, budget),
            Self::Npz => npz::read(source.bytes, budget),
            Self::KerasH5 => keras::read_h5(source.bytes, budget),
            Self::Keras => keras::read_zip(source.bytes, budget),
            Self::Onnx => onnx::read(source.bytes, budget),
            Self::Tflite => tflite::read(source.bytes, budget),
        }
    }
}

/// The format of a zip, by the files in it.
fn zip_format(bytes: &[u8]) -> Format {
    let has = |name: &str| {
        zip::ZipArchive::new(std::io::Cursor::new(bytes))
            .is_ok_and(|archive| archive.index_for_name(name).is_some())
    };
    if has(keras::WEIGHTS) {
        Format::Keras
    } else {
        Format::PyTorch
    }
}

/// A tensor as the file has it.
#[derive(Debug, Clone)]
pub struct RawTensor {
    /// The file's name of the dtype.
    pub dtype: String,
    /// Sizes, in the file's layout.
    pub shape: Vec<usize>,
    /// The values, of dtype f16, bf16, f32 or f64; `None` for all other dtypes, which no
    /// parameter has.
    pub values: Option<Tensor>,
}

/// All tensors of a file, and what else it says.
#[derive(Debug, Clone, Default)]
pub struct NamedTensors {
    /// Tensors by name.
    pub tensors: BTreeMap<String, RawTensor>,
    /// Text by key: safetensors' `__metadata__`, ONNX' `metadata_props`.
    pub metadata: BTreeMap<String, String>,
    /// Epsilon of batch normalisation by the name of the graph's node that holds it.
    pub epsilons: BTreeMap<String, f64>,
    /// Names of the classes, where the file has them.
    pub(crate) labels: Option<Vec<String>>,
    /// The network, where the file describes it.
    pub(crate) graph: Option<graph::Graph>,
}

impl NamedTensors {
    fn insert(&mut self, name: String, tensor: RawTensor) -> Result<(), ReadError> {
        if self.tensors.contains_key(&name) {
            return Err(ReadError::tensor(name, "appears twice"));
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Takes off what TensorFlow appends to the names of variables when it means their values: the
    /// number of an operation's output, `:0`.
    pub(super) fn strip_output_numbers(&mut self) {
        let numbered: Vec<String> = self
            .tensors
            .keys()
            .filter(|name| name.ends_with(":0"))
            .cloned()
            .collect();
        for name in numbered {
            let plain = name.trim_end_matches(":0");
            if !self.tensors.contains_key(plain)
                && let Some(tensor) = self.tensors.remove(&name)
            {
                self.tensors.insert(plain.to_string(), tensor);
            }
        }
    }
}

/// Number of values of a shape, or an error that names the tensor. Strides do not overflow either,
/// not even those of an empty tensor.
fn volume(name: &str, shape: &[usize]) -> Result<usize, ReadError> {
    let volume = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size.max(1)))
        .ok_or_else(|| ReadError::tensor(name, format!("shape {shape:?} overflows")))?;
    Ok(if shape.contains(&0) { 0 } else { volume })
}

/// Whether JSON has such a key; what is around it is not looked at.
fn is_json_with(bytes: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && bytes
            .windows(quoted.len())
            .any(|window| window == quoted.as_bytes())
}

/// JSON of a format that lists tensors and files.
fn parse_json<T: DeserializeOwned>(
    source: &Source<'_>,
    budget: &mut Budget,
) -> Result<T, ReadError> {
    // Three bytes can become an empty text of 24.
    budget.take(source.name, 8 * source.bytes.len() as u64)?;
    serde_json::from_slice(source.bytes).map_err(|error| ReadError::malformed(source.name, error))
}

/// A tensor from little-endian bytes, after the budget has allowed it.
fn from_le_bytes(
    name: &str,
    bytes: &[u8],
    dtype: DType,
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Tensor, ReadError> {
    let expected = volume(name, shape)?.checked_mul(dtype.size_in_bytes());
    if expected != Some(bytes.len()) {
        let found = bytes.len();
        let problem = format!("shape {shape:?} of {dtype:?} does not fit its {found} bytes");
        return Err(ReadError::tensor(name, problem));
    }
    budget.take(name, bytes.len() as u64)?;
    Tensor::from_raw_buffer(bytes, dtype, shape, &Device::Cpu)
        .map_err(|error| ReadError::tensor(name, error))
}
