//! Bytes -> named tensors, one file a format. Readers know the format and nothing of MobileNet.

mod budget;
mod flatbuffer;
pub(crate) mod graph;
mod graph_def;
mod hdf5;
mod keras;
mod keras_config;
mod onnx;
mod onnx_integers;
mod onnx_nodes;
mod pickle;
mod protobuf;
mod pytorch;
mod safetensors;
mod tflite;
mod tflite_operators;
mod zip_entry;

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{DType, Device, Tensor};

use super::error::ReadError;
use budget::Budget;

/// What reading may take, whatever the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of tensors beyond four times the file: a file can describe more than it holds, for
    /// example a constant by its shape and one value.
    pub extra_bytes: u64,
}

impl Default for ReadLimits {
    /// 1 GiB of file, 64 MiB beyond four times the file.
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
    /// Frozen TensorFlow graph.
    GraphDef,
    /// `torch.save`'s zip.
    PyTorch,
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
            Self::GraphDef => "TensorFlow GraphDef",
            Self::PyTorch => "PyTorch zip",
            Self::KerasH5 => "Keras HDF5",
            Self::Keras => "Keras zip",
            Self::Onnx => "ONNX",
            Self::Tflite => "TFLite",
        })
    }
}

impl Format {
    /// Recognises a format by the file's first bytes.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let header = bytes
            .first_chunk::<8>()
            .map(|length| u64::from_le_bytes(*length));
        if bytes.starts_with(b"PK\x03\x04") {
            Some(zip_format(bytes))
        } else if bytes.starts_with(hdf5::SIGNATURE) {
            Some(Self::KerasH5)
        } else if tflite::looks_like(bytes) {
            Some(Self::Tflite)
        } else if header.is_some_and(|length| length < 1 << 32) && bytes.get(8) == Some(&b'{') {
            Some(Self::Safetensors)
        } else if graph_def::looks_like(bytes) {
            Some(Self::GraphDef)
        } else if onnx::looks_like(bytes) {
            Some(Self::Onnx)
        } else {
            None
        }
    }

    /// Reads all tensors.
    ///
    /// # Errors
    /// Where the bytes break the format's rules, or exceed the limits.
    pub fn read(self, bytes: &[u8], limits: ReadLimits) -> Result<NamedTensors, ReadError> {
        let limit = (bytes.len() as u64)
            .saturating_mul(4)
            .saturating_add(limits.extra_bytes);
        let mut budget = Budget::new(limit);
        match self {
            Self::Safetensors => safetensors::read(bytes, &mut budget),
            Self::GraphDef => graph_def::read(bytes, &mut budget),
            Self::PyTorch => pytorch::read(bytes, &mut budget),
            Self::KerasH5 => keras::read_h5(bytes, &mut budget),
            Self::Keras => keras::read_zip(bytes, &mut budget),
            Self::Onnx => onnx::read(bytes, &mut budget),
            Self::Tflite => tflite::read(bytes, &mut budget),
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
    /// Numbers by the name of the node that holds them: epsilon of `FusedBatchNorm` nodes.
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
}

/// Number of values of a shape, or an error that names the tensor.
fn volume(name: &str, shape: &[usize]) -> Result<usize, ReadError> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .ok_or_else(|| ReadError::tensor(name, format!("shape {shape:?} overflows")))
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
