//! Our own file: safetensors with [`Metadata`] in its header, written whole or not at all.

use std::io::Write;
use std::path::Path;

use candle_core::{DType, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::error::CheckpointError;
use super::load::Checkpoint;
use super::metadata::KEY;

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightsDtype {
    /// 32 bits.
    #[default]
    F32,
    /// IEEE half precision: 11 bits of significand, values up to 65,504.
    F16,
    /// bfloat16: 8 bits of significand, the range of f32.
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

    /// Little-endian bytes of a value; `None` where a finite value becomes infinite.
    fn push(self, value: f32, bytes: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::F32 => bytes.extend(value.to_le_bytes()),
            Self::F16 => {
                let half = half::f16::from_f32(value);
                if half.is_infinite() {
                    return None;
                }
                bytes.extend(half.to_le_bytes());
            }
            Self::Bf16 => bytes.extend(half::bf16::from_f32(value).to_le_bytes()),
        }
        Some(())
    }
}

/// Writes a checkpoint. The same checkpoint gives the same bytes. A file already there is
/// replaced in one step, so that nobody ever sees half a file.
///
/// # Errors
/// Where the file cannot be written, or a value does not fit `dtype`.
pub fn save(
    path: &Path,
    checkpoint: &Checkpoint,
    dtype: WeightsDtype,
) -> Result<(), CheckpointError> {
    let failed = |problem: String| CheckpointError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let mut tensors = Vec::with_capacity(checkpoint.parameters.len());
    for (name, tensor) in &checkpoint.parameters {
        let bytes =
            to_bytes(tensor, dtype).map_err(|problem| failed(format!("{name}: {problem}")))?;
        tensors.push((name, tensor.dims().to_vec(), bytes));
    }
    tensors.sort_by_key(|(name, ..)| *name);
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(dtype.safetensors(), shape.clone(), bytes).map(|view| (*name, view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    let metadata =
        serde_json::to_string(&checkpoint.metadata).map_err(|error| failed(error.to_string()))?;
    let header = [(KEY.to_string(), metadata)].into_iter().collect();
    let bytes =
        safetensors::serialize(views, Some(header)).map_err(|error| failed(error.to_string()))?;
    write_atomically(path, &bytes).map_err(|error| failed(error.to_string()))
}

fn to_bytes(tensor: &Tensor, dtype: WeightsDtype) -> Result<Vec<u8>, String> {
    let values = values(tensor)?;
    let mut bytes = Vec::with_capacity(4 * values.len());
    for value in values {
        dtype
            .push(value, &mut bytes)
            .ok_or_else(|| format!("{value} does not fit f16; bf16 and f32 hold it"))?;
    }
    Ok(bytes)
}

/// A parameter's values in row-major order.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f32>, String> {
    tensor
        .to_dtype(DType::F32)
        .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
        .map_err(|error| error.to_string())
}

/// Writes beside the target, makes it durable, and renames it into place.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mobilenet-").suffix(".partial");
    // Temporary files are private by default; this one becomes an ordinary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
