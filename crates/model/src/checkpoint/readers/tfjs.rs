//! TensorFlow.js: `model.json` lists weights by name, dtype and shape, in their order in binary
//! files. Quantised weights become f32 here.
//!
//! ```text
//! {"weightsManifest": [{"paths": ["group1-shard1of1.bin"],
//!    "weights": [{"name": "conv1/kernel", "shape": [3, 3, 3, 32], "dtype": "float32",
//!       "quantization": {"dtype": "uint8", "scale": 0.1, "min": -12.8}}]}]}
//! ```
//!
//! Older files are the list of groups alone.
//!
//! The files of a group are one sequence of bytes. A quantised value `q` means `q * scale + min`.
//! `float16` values have no scale and min.

use half::f16;
use serde::Deserialize;

use super::json::{is_json_with, parse_json};
use super::{Budget, NamedTensors, RawTensor, ReadError, Source, from_le_bytes, volume};
use crate::array::{Dtype, Values};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    weights_manifest: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Weight>,
}

#[derive(Deserialize)]
struct Weight {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: Option<f64>,
    min: Option<f64>,
}

pub(super) fn looks_like(bytes: &[u8]) -> bool {
    is_json_with(bytes, "weightsManifest") || is_manifest(bytes)
}

/// Whether it is a manifest alone, as TensorFlow.js had it first: the list of groups.
fn is_manifest(bytes: &[u8]) -> bool {
    let has = |key: &[u8]| bytes.windows(key.len()).any(|window| window == key);
    is_list(bytes) && has(b"\"weights\"") && has(b"\"paths\"")
}

fn is_list(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

pub(super) fn read(source: &Source<'_>, budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let groups: Vec<Group> = match is_list(source.bytes) {
        true => parse_json(source, budget)?,
        false => parse_json::<Model>(source, budget)?.weights_manifest,
    };
    let mut named = NamedTensors::default();
    for group in &groups {
        let mut bytes = Vec::new();
        for path in &group.paths {
            let shard = source.sibling(path, budget)?;
            budget.take(path, shard.len() as u64)?;
            bytes.extend_from_slice(&shard);
        }
        let mut rest = bytes.as_slice();
        for weight in &group.weights {
            let tensor = read_weight(weight, &mut rest, budget)?;
            named.insert(weight.name.clone(), tensor)?;
        }
        if !rest.is_empty() {
            let problem = format!("{} bytes belong to no weight", rest.len());
            return Err(ReadError::malformed(group.paths.join(", "), problem));
        }
    }
    Ok(named)
}

/// Reads one weight from the front of its group's bytes.
fn read_weight(
    weight: &Weight,
    rest: &mut &[u8],
    budget: &mut Budget,
) -> Result<RawTensor, ReadError> {
    let error = |problem: String| ReadError::tensor(&weight.name, problem);
    let stored = match &weight.quantization {
        Some(quantization) => &quantization.dtype,
        None => &weight.dtype,
    };
    let width = match stored.as_str() {
        "float32" | "int32" => 4,
        "float16" | "uint16" => 2,
        "uint8" | "bool" => 1,
        other => return Err(error(format!("dtype `{other}` is not supported"))),
    };
    let count = volume(&weight.name, &weight.shape)?;
    let bytes = count
        .checked_mul(width)
        .and_then(|size| rest.get(..size))
        .ok_or_else(|| {
            let left = rest.len();
            error(format!(
                "{count} values of {width} bytes wanted, {left} bytes left"
            ))
        })?;
    *rest = &rest[bytes.len()..];
    let raw = |values| RawTensor::new(&weight.dtype, weight.shape.clone(), values);
    if weight.dtype != "float32" {
        return Ok(raw(None));
    }
    let Some(quantization) = &weight.quantization else {
        let values = from_le_bytes(&weight.name, bytes, Dtype::F32, &weight.shape, budget)?;
        return Ok(raw(Some(values)));
    };
    budget.take(&weight.name, 4 * count as u64)?;
    let scaled = |value: f64| match (quantization.scale, quantization.min) {
        (Some(scale), Some(min)) => Ok((value * scale + min) as f32),
        _ => Err(error("quantised without scale and min".to_string())),
    };
    let pairs = || bytes.as_chunks::<2>().0.iter();
    let values: Vec<f32> = match stored.as_str() {
        "uint8" => bytes
            .iter()
            .map(|&q| scaled(q.into()))
            .collect::<Result<_, _>>()?,
        "uint16" => pairs()
            .map(|&pair| scaled(u16::from_le_bytes(pair).into()))
            .collect::<Result<_, _>>()?,
        "float16" => pairs()
            .map(|&pair| f16::from_le_bytes(pair).to_f32())
            .collect(),
        other => return Err(error(format!("quantised to `{other}`"))),
    };
    Ok(raw(Some(Values::F32(values.into()))))
}
