//! safetensors, by its own crate, which checks the header (lengths, overlaps, shapes).

use candle_core::DType;
use safetensors::{Dtype, SafeTensors};

use super::{Budget, NamedTensors, RawTensor, from_le_bytes};
use crate::checkpoint::error::ReadError;

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let malformed = |error| ReadError::malformed("safetensors header", error);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let mut named = NamedTensors::default();
    if let Some(metadata) = header.metadata() {
        named.metadata = metadata.clone().into_iter().collect();
    }
    for (name, view) in file.iter() {
        let dtype = match view.dtype() {
            Dtype::F64 => Some(DType::F64),
            Dtype::F32 => Some(DType::F32),
            Dtype::F16 => Some(DType::F16),
            Dtype::BF16 => Some(DType::BF16),
            _ => None,
        };
        let values = dtype
            .map(|dtype| from_le_bytes(name, view.data(), dtype, view.shape(), budget))
            .transpose()?;
        let tensor = RawTensor {
            dtype: format!("{:?}", view.dtype()),
            shape: view.shape().to_vec(),
            values,
        };
        named.insert(name.to_string(), tensor)?;
    }
    Ok(named)
}
