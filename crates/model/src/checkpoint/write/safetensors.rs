//! Writes safetensors files with [`Metadata`] in the header, and our names or those of a framework.
//! A file is written whole or not at all.
//!
//! [`Metadata`]: crate::checkpoint::Metadata

use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use serde_json::{Map, Value, json};

use crate::architecture::{Part, parameters};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::framework_call::framework_call;
use crate::checkpoint::metadata::KEY;
use crate::checkpoint::model::Checkpoint;
use crate::checkpoint::name_map::{BATCHES, Framework, NameMap, Names};
use crate::file::write_atomically;
use crate::little_endian::bytes_of;

/// The type in which values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightsDtype {
    /// 32 bits.
    #[default]
    F32,
    /// IEEE half precision: 11 bits of significand, values up to 65,504.
    F16,
    /// bfloat16: 8 bits of significand, and the range of f32.
    Bf16,
}

impl WeightsDtype {
    fn safetensors(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// The bytes of values, which fail as f16 if they are larger than its range.
    fn bytes_of(self, values: &[f32]) -> Result<Vec<u8>, String> {
        match self {
            Self::F32 => Ok(bytes_of(values)),
            Self::F16 => {
                let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
                match halves.iter().position(|half| half.is_infinite()) {
                    None => Ok(bytes_of(&halves)),
                    Some(index) => Err(format!(
                        "{} does not fit f16; bf16 and f32 hold it",
                        values[index]
                    )),
                }
            }
            Self::Bf16 => {
                let halves: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
                Ok(bytes_of(&halves))
            }
        }
    }
}

/// Writes a checkpoint with our own names. The same checkpoint always gives the same bytes. An
/// existing file is replaced atomically, so nobody sees half a file.
///
/// # Errors
/// If the file cannot be written, or a value does not fit `dtype`.
pub fn save(
    path: &Path,
    checkpoint: &Checkpoint,
    dtype: WeightsDtype,
) -> Result<(), CheckpointError> {
    save_as(path, checkpoint, dtype, Framework::Ours)
}

/// [`save`] with the names and layouts of a framework, which can then load the file.
///
/// # Errors
/// As [`save`], and if the framework has no such network ([`framework_call`]).
pub fn save_as(
    path: &Path,
    checkpoint: &Checkpoint,
    dtype: WeightsDtype,
    framework: Framework,
) -> Result<(), CheckpointError> {
    let failed = |problem: String| CheckpointError::Write {
        path: path.to_path_buf(),
        problem,
    };
    framework_call(framework, &checkpoint.metadata).map_err(failed)?;
    let bytes = serialize(checkpoint, dtype, framework).map_err(failed)?;
    write_atomically(path, &bytes).map_err(|error| failed(error.to_string()))
}

/// The file: length of the header (u64), header (JSON), values. We do not use the `safetensors`
/// crate here, because its order of metadata entries changes from run to run.
fn serialize(
    checkpoint: &Checkpoint,
    dtype: WeightsDtype,
    framework: Framework,
) -> Result<Vec<u8>, String> {
    let convention = framework.convention();
    let convention = convention.ok_or_else(|| format!("{framework} has no names"))?;
    let metadata = &checkpoint.metadata;
    let text = serde_json::to_string(metadata).map_err(|error| error.to_string())?;
    let mut entries = vec![(KEY, text)];
    if convention.is_pytorch {
        // transformers refuses files without it.
        entries.push(("format", "pt".to_string()));
    }
    let mut header = Header::new(entries);
    let map = NameMap::new(convention);
    let config = metadata.config();
    let expected = parameters(&config).map_err(|error| error.to_string())?;
    let mut tensors = Vec::with_capacity(expected.len());
    for parameter in &expected {
        let own = parameter.name();
        let tensor = checkpoint
            .parameters
            .get(&own)
            .ok_or_else(|| format!("{own} is missing"))?;
        let name = map.names(parameter.layer, parameter.part).swap_remove(0);
        if convention.is_pytorch && parameter.part == Part::MovingMean {
            // 8 bytes each, so the values after them stay aligned.
            let counter = name.replace(".running_mean", BATCHES);
            header.add(&counter, Dtype::I64, &[], &0i64.to_le_bytes());
        }
        tensors.push((
            name,
            own,
            tensor,
            map.layout(parameter.layer, parameter.part),
        ));
    }
    tensors.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (name, own, tensor, layout) in tensors {
        let problem = |problem: String| format!("{own}: {problem}");
        let tensor = layout
            .to_source(tensor.clone(), metadata.channel_multiplier)
            .map_err(|error| problem(error.to_string()))?;
        let bytes = dtype.bytes_of(tensor.values()).map_err(problem)?;
        header.add(&name, dtype.safetensors(), tensor.shape(), &bytes);
    }
    header.finish()
}

/// A file in the making.
pub(super) struct Header {
    entries: Map<String, Value>,
    values: Vec<u8>,
}

impl Header {
    /// A file with these entries of metadata.
    pub(super) fn new<'a>(metadata: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let metadata = metadata.into_iter();
        let metadata: Map<String, Value> = metadata
            .map(|(key, text)| (key.to_string(), text.into()))
            .collect();
        Self {
            entries: Map::from_iter([("__metadata__".to_string(), metadata.into())]),
            values: Vec::new(),
        }
    }

    /// Adds a tensor of little-endian bytes.
    pub(super) fn add(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
        let start = self.values.len();
        self.values.extend_from_slice(bytes);
        let offsets = [start, self.values.len()];
        let entry = json!({"dtype": dtype.to_string(), "shape": shape, "data_offsets": offsets});
        self.entries.insert(name.to_string(), entry);
    }

    /// The file's bytes.
    pub(super) fn finish(self) -> Result<Vec<u8>, String> {
        let mut text = serde_json::to_string(&self.entries).map_err(|error| error.to_string())?;
        while text.len() % 8 != 0 {
            text.push(' ');
        }
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.into_bytes());
        bytes.extend(self.values);
        Ok(bytes)
    }
}
