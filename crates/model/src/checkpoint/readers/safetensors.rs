//! safetensors files, and the index of a checkpoint in several files
//! (`model.safetensors.index.json`), which says in which file each tensor is. The `safetensors`
//! crate checks the header: lengths, overlaps, shapes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde::Deserialize;

use super::json::{is_json_with, parse_json};
use super::{
    Budget, NamedTensors, Quantization, RawTensor, ReadError, Source, compressed, from_le_bytes,
    volume,
};
use crate::array::{Dtype, Values};
use crate::checkpoint::coded;
use crate::mapped_file::MappedFile;

/// Whether the bytes begin with the length of a header and the header's brace.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let length = bytes
        .first_chunk()
        .map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length < 1 << 32) && bytes.get(8) == Some(&b'{')
}

/// An entry of the header's metadata. What has no header has none.
pub(in crate::checkpoint) fn entry(bytes: &[u8], key: &str) -> Option<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    header.metadata().as_ref()?.get(key).cloned()
}

/// Whether the header's metadata has an entry.
pub(in crate::checkpoint) fn has_entry(bytes: &[u8], key: &str) -> bool {
    entry(bytes, key).is_some()
}

/// The bytes of each tensor, by name. None if there is no header.
pub(in crate::checkpoint) fn part_sizes(bytes: &[u8]) -> BTreeMap<String, usize> {
    let header = SafeTensors::read_metadata(bytes).ok();
    let tensors = header.iter().flat_map(|(_, header)| header.tensors());
    let sizes = tensors.map(|(name, info)| {
        let (start, end) = info.data_offsets;
        (name, end.saturating_sub(start))
    });
    sizes.collect()
}

/// Reads a file. Its f32 values stay where they are, if the file may be shared.
pub(super) fn read(
    bytes: &[u8],
    shared: Option<&Arc<MappedFile>>,
    budget: &mut Budget,
) -> Result<NamedTensors, ReadError> {
    let malformed = |error| ReadError::malformed("safetensors header", error);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let mut named = NamedTensors::default();
    if let Some(metadata) = header.metadata() {
        named.metadata = metadata.clone().into_iter().collect();
    }
    let mut parts = BTreeSet::new();
    if let Some(entry) = named.metadata.get(coded::KEY) {
        let coding = compressed::parse(entry, budget)?;
        parts = compressed::read(&file, coding, budget, &mut named)?;
    }
    for (name, view) in file.iter().filter(|(name, _)| !parts.contains(*name)) {
        let dtype = match view.dtype() {
            safetensors::Dtype::F64 => Some(Dtype::F64),
            safetensors::Dtype::F32 => Some(Dtype::F32),
            safetensors::Dtype::F16 => Some(Dtype::F16),
            safetensors::Dtype::BF16 => Some(Dtype::BF16),
            _ => None,
        };
        let quantization = match dtype {
            Some(_) => None,
            None => quantization(&file, name, &view, budget)?,
        };
        let dtype = match (view.dtype(), &quantization) {
            (safetensors::Dtype::U8, Some(_)) => Some(Dtype::U8),
            (safetensors::Dtype::I8, Some(_)) => Some(Dtype::I8),
            (safetensors::Dtype::I32, Some(_)) => Some(Dtype::I32),
            _ => dtype,
        };
        let in_place = shared
            .filter(|_| dtype == Some(Dtype::F32))
            .and_then(|file| {
                let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
                file.floats(start..start + view.data().len())
            });
        let values = match (dtype, in_place) {
            (_, Some(values)) => Some(Values::F32(values)),
            (Some(dtype), None) => Some(from_le_bytes(
                name,
                view.data(),
                dtype,
                view.shape(),
                budget,
            )?),
            (None, None) => None,
        };
        let dtype = format!("{:?}", view.dtype());
        let tensor = RawTensor {
            quantization,
            ..RawTensor::new(dtype, view.shape().to_vec(), values)
        };
        named.insert(name.to_string(), tensor)?;
    }
    Ok(named)
}

/// What the integers of a tensor mean, if the file has their scales: `NAME.scale`, one or one for
/// each index of the first axis, and `NAME.zero_point`.
fn quantization(
    file: &SafeTensors<'_>,
    name: &str,
    view: &TensorView<'_>,
    budget: &mut Budget,
) -> Result<Option<Quantization>, ReadError> {
    let Ok(scales) = file.tensor(&format!("{name}.scale")) else {
        return Ok(None);
    };
    let zero_points = file.tensor(&format!("{name}.zero_point")).ok();
    let bytes = scales.data().len() + zero_points.as_ref().map_or(0, |z| 2 * z.data().len());
    // In memory, and the integers once more if they are converted to f32.
    let count = volume(name, view.shape())?;
    budget.take(name, (bytes + 4 * count) as u64)?;
    let (scales_of, _) = scales.data().as_chunks::<4>();
    let (zeros, _) = zero_points
        .as_ref()
        .map_or(&[][..], |z| z.data())
        .as_chunks::<4>();
    let scales_fit = scales.dtype() == safetensors::Dtype::F32
        && (scales_of.len() == 1 || view.shape().first() == Some(&scales_of.len()));
    let is_i32 = |z: &TensorView<'_>| z.dtype() == safetensors::Dtype::I32;
    let zeros_fit = zeros.is_empty() || zeros.len() == scales_of.len();
    if !(scales_fit && zeros_fit && zero_points.as_ref().is_none_or(is_i32)) {
        let problem = format!(
            "{} scales and {} zero points for the shape {:?}",
            scales_of.len(),
            zeros.len(),
            view.shape()
        );
        return Err(ReadError::tensor(name, problem));
    }
    Ok(Some(Quantization {
        scales: scales_of.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        zero_points: zeros
            .iter()
            .map(|b| i32::from_le_bytes(*b).into())
            .collect(),
        axis: 0,
    }))
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
        let part = read(&bytes, Some(&bytes), budget)?;
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
