//! safetensors files, and the index of a checkpoint in several files
//! (`model.safetensors.index.json`), which says in which file each tensor is. The `safetensors`
//! crate checks the header: lengths, overlaps, shapes.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::SafeTensors;
use serde::Deserialize;

use super::json::{is_json_with, parse_json};
use super::{Budget, NamedTensors, RawTensor, ReadError, Source, from_le_bytes};
use crate::array::Dtype;

/// Whether the bytes begin with the length of a header and the header's brace.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let length = bytes
        .first_chunk()
        .map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length < 1 << 32) && bytes.get(8) == Some(&b'{')
}

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
            safetensors::Dtype::F64 => Some(Dtype::F64),
            safetensors::Dtype::F32 => Some(Dtype::F32),
            safetensors::Dtype::F16 => Some(Dtype::F16),
            safetensors::Dtype::BF16 => Some(Dtype::BF16),
            _ => None,
        };
        let values = dtype
            .map(|dtype| from_le_bytes(name, view.data(), dtype, view.shape(), budget))
            .transpose()?;
        let dtype = format!("{:?}", view.dtype());
        let tensor = RawTensor::new(dtype, view.shape().to_vec(), values);
        named.insert(name.to_string(), tensor)?;
    }
    Ok(named)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

pub(super) fn is_index(bytes: &[u8]) -> bool {
    is_json_with(bytes, "weight_map")
}

pub(super) fn read_index(
    source: &Source<'_>,
    budget: &mut Budget,
) -> Result<NamedTensors, ReadError> {
    let Index { weight_map } = parse_json(source, budget)?;
    let files: BTreeSet<&String> = weight_map.values().collect();
    let mut named = NamedTensors::default();
    for file in files {
        let bytes = source.sibling(file, budget)?;
        let part = read(&bytes, budget)?;
        named.metadata.extend(part.metadata);
        for (name, tensor) in part.tensors {
            // Ignore tensors that the index places in another file.
            if weight_map.get(&name) == Some(file) {
                named.insert(name, tensor)?;
            }
        }
    }
    match weight_map
        .keys()
        .find(|name| !named.tensors.contains_key(*name))
    {
        Some(name) => Err(ReadError::tensor(
            name,
            "not in the file that the index names",
        )),
        None => Ok(named),
    }
}
