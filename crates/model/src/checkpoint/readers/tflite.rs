//! TFLite: a FlatBuffer `Model`. Quantised tensors come out as the numbers that they stand for,
//! `scale * (q - zero_point)`, with one scale for all or one for each channel.
//!
//! ```text
//! Model    { 1 operator_codes, 2 subgraphs, 4 buffers }
//! SubGraph { 0 tensors, 1 inputs, 3 operators }
//! Tensor   { 0 shape, 1 type, 2 buffer, 3 name, 4 quantization }
//! Buffer   { 0 data }
//! Quantization { 2 scale, 3 zero_point, 6 quantized_dimension }
//! ```
//!
//! Operators become operations in `tflite_operators.rs`.

use std::collections::HashMap;
use std::io::Cursor;

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use super::flatbuffer::{Elements, Table};
use super::graph::{Graph, Input, Quantization};
use super::tflite_operators::operation;
use super::zip_entry::entry;
use super::{Budget, NamedTensors, RawTensor, from_le_bytes, volume};
use crate::checkpoint::error::ReadError;

/// The file identifier, which follows the offset of the root.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}

/// What a tensor or an operator takes in memory, roughly and generously.
const RECORD: u64 = 512;

/// Axes that a tensor may have.
const MOST_AXES: usize = 8;

pub(super) fn malformed(place: &str, problem: impl ToString) -> ReadError {
    ReadError::malformed(place, problem)
}

/// `TensorType` of the schema.
mod kind {
    pub(super) const FLOAT32: u8 = 0;
    pub(super) const FLOAT16: u8 = 1;
    pub(super) const INT32: u8 = 2;
    pub(super) const UINT8: u8 = 3;
    pub(super) const INT8: u8 = 9;
}

/// A tensor of the graph.
#[derive(Default)]
pub(super) struct Described<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    kind: u8,
    quantization: Option<Table<'a>>,
    /// Values, where it is a constant.
    pub(super) data: Option<&'a [u8]>,
}

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let missing = |what: &str| malformed("TFLite model", format!("it has no {what}"));
    let model = Table::root(bytes).ok_or_else(|| missing("root"))?;
    let buffers = model.elements(4, 4).ok_or_else(|| missing("buffers"))?;
    let codes = model
        .elements(1, 4)
        .ok_or_else(|| missing("operator codes"))?;
    let subgraphs = model.elements(2, 4).ok_or_else(|| missing("subgraphs"))?;
    let subgraph = subgraphs.table(0).ok_or_else(|| missing("subgraph"))?;

    let mut named = NamedTensors::default();
    let listed = subgraph.elements(0, 4).ok_or_else(|| missing("tensors"))?;
    let mut tensors = Vec::new();
    let mut integers = HashMap::new();
    for index in 0..listed.len {
        budget.take("TFLite tensors", RECORD)?;
        let mut tensor = describe(&listed, index, &buffers, budget)?;
        if named.tensors.contains_key(&tensor.name) || tensor.name.is_empty() {
            tensor.name = format!("{}#{index}", tensor.name);
        }
        if let Some(data) = tensor.data {
            named.insert(tensor.name.clone(), constant(&tensor, data, budget)?)?;
            integers.extend(small_integers(&tensor, data).map(|values| (index, values)));
        }
        tensors.push(tensor);
    }

    let inputs = subgraph.elements(1, 4).ok_or_else(|| missing("inputs"))?;
    let operators = subgraph
        .elements(3, 4)
        .ok_or_else(|| missing("operators"))?;
    let mut operations = Vec::new();
    for index in 0..operators.len {
        budget.take("TFLite operators", RECORD)?;
        let place = format!("TFLite operator {index}");
        let operator = operators
            .table(index)
            .ok_or_else(|| malformed(&place, "it is outside the file"))?;
        operations.extend(operation(
            &place, &operator, &codes, &tensors, &integers, &mut named, budget,
        )?);
    }
    let input = usize::try_from(inputs.i32(0).unwrap_or(-1))
        .ok()
        .and_then(|index| tensors.get(index))
        .ok_or_else(|| missing("input"))?;
    // A float input that is quantised first has the range of its quantised form.
    let first = operations
        .first()
        .map(|operation| operation.output.as_str());
    let quantized = tensors
        .iter()
        .find(|tensor| Some(tensor.name.as_str()) == first && input.kind == kind::FLOAT32);
    let quantization = input_quantization(input).or_else(|| input_quantization(quantized?));
    let input = Input {
        name: input.name.clone(),
        size: match input.shape.as_slice() {
            &[_, rows, columns, _] => Some([rows, columns]),
            _ => None,
        },
        quantization,
    };
    named.graph = Some(Graph { input, operations });
    named.labels = labels(bytes, budget)?;
    Ok(named)
}

/// Names of the classes: TFLite's metadata keeps a file of labels in a zip behind the model.
fn labels(bytes: &[u8], budget: &mut Budget) -> Result<Option<Vec<String>>, ReadError> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else {
        return Ok(None);
    };
    let names = archive.file_names().filter_map(Result::ok);
    let name = names
        .filter(|name| name.contains("label") && name.ends_with(".txt"))
        .map(|name| name.to_string())
        .next();
    let Some(name) = name else {
        return Ok(None);
    };
    let text = entry(&mut archive, &name, budget)?;
    // A line of one byte becomes a string.
    budget.take(&name, (size_of::<String>() * text.len()) as u64)?;
    let text = String::from_utf8_lossy(&text);
    Ok(Some(
        text.lines().map(|line| line.trim().to_string()).collect(),
    ))
}

fn describe<'a>(
    listed: &Elements<'a>,
    index: usize,
    buffers: &Elements<'a>,
    budget: &mut Budget,
) -> Result<Described<'a>, ReadError> {
    let place = || format!("TFLite tensor {index}");
    let table = listed
        .table(index)
        .ok_or_else(|| malformed(&place(), "it is outside the file"))?;
    let name = table.text(3).unwrap_or_default();
    budget.take("TFLite names", 4 * name.len() as u64)?;
    let shape = match table.elements(0, 4) {
        Some(sizes) if sizes.len > MOST_AXES => {
            return Err(ReadError::tensor(name, "too many axes"));
        }
        Some(sizes) => (0..sizes.len)
            .filter_map(|axis| sizes.i32(axis))
            .map(usize::try_from)
            .collect::<Result<Vec<usize>, _>>()
            .map_err(|_| ReadError::tensor(name, "a negative size"))?,
        None => Vec::new(),
    };
    let buffer = table.i32(2).unwrap_or(0);
    let data = usize::try_from(buffer)
        .ok()
        .and_then(|index| buffers.table(index)?.elements(0, 1))
        .map(|data| data.all())
        .filter(|data| !data.is_empty());
    Ok(Described {
        name: name.to_string(),
        shape,
        kind: table.u8(1).unwrap_or(kind::FLOAT32),
        quantization: table.table(4),
        data,
    })
}

fn constant(
    tensor: &Described<'_>,
    data: &[u8],
    budget: &mut Budget,
) -> Result<RawTensor, ReadError> {
    let Described { name, shape, .. } = tensor;
    let float = match tensor.kind {
        kind::FLOAT32 => Some(DType::F32),
        kind::FLOAT16 => Some(DType::F16),
        _ => None,
    };
    let values = match float {
        Some(dtype) => Some(from_le_bytes(name, data, dtype, shape, budget)?),
        None => dequantize(tensor, data, budget)?,
    };
    Ok(RawTensor {
        dtype: format!("TFLite type {}", tensor.kind),
        shape: shape.clone(),
        values,
    })
}

/// Numbers of a quantised constant; `None` for integers that are integers.
fn dequantize(
    tensor: &Described<'_>,
    data: &[u8],
    budget: &mut Budget,
) -> Result<Option<Tensor>, ReadError> {
    let Described { name, shape, .. } = tensor;
    let wrong = |problem: String| ReadError::tensor(name, problem);
    let Some((scales, zero_points)) = tensor.quantization.and_then(|quantization| {
        let scales = quantization
            .elements(2, 4)
            .filter(|scales| scales.len > 0)?;
        Some((scales, quantization.elements(3, 8)))
    }) else {
        return Ok(None);
    };
    let width = match tensor.kind {
        kind::INT8 | kind::UINT8 => 1,
        kind::INT32 => 4,
        _ => return Ok(None),
    };
    let count = volume(name, shape)?;
    if count.checked_mul(width) != Some(data.len()) {
        let found = data.len();
        return Err(wrong(format!(
            "shape {shape:?} does not fit its {found} bytes"
        )));
    }
    let axis = tensor.quantization.and_then(|q| q.i32(6)).unwrap_or(0);
    let axis = usize::try_from(axis).map_err(|error| wrong(error.to_string()))?;
    // Values between two steps along the axis of the scales.
    let inner = match scales.len {
        1 => count.max(1),
        len if shape.get(axis) == Some(&len) => shape[axis + 1..].iter().product::<usize>().max(1),
        len => {
            return Err(wrong(format!(
                "{len} scales along axis {axis} of {shape:?}"
            )));
        }
    };
    budget.take(name, (4 * count) as u64)?;
    let mut values = Vec::with_capacity(count);
    for (i, bytes) in data.chunks_exact(width).enumerate() {
        let channel = i / inner % scales.len;
        let scale = f64::from(scales.f32(channel).unwrap_or_default());
        let zero_point = zero_points.and_then(|zero_points| {
            zero_points.i64(if zero_points.len == 1 { 0 } else { channel })
        });
        let q = match (tensor.kind, bytes) {
            (kind::UINT8, &[byte]) => i64::from(byte),
            (kind::INT8, &[byte]) => i64::from(byte as i8),
            (_, bytes) => bytes
                .first_chunk()
                .map_or(0, |b| i32::from_le_bytes(*b).into()),
        };
        values.push((scale * q.saturating_sub(zero_point.unwrap_or(0)) as f64) as f32);
    }
    Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)
        .map(Some)
        .map_err(|error| wrong(error.to_string()))
}

/// Paddings and axes.
fn small_integers(tensor: &Described<'_>, data: &[u8]) -> Option<Vec<i64>> {
    (tensor.kind == kind::INT32 && data.len() <= 64).then(|| {
        let (chunks, _) = data.as_chunks::<4>();
        chunks
            .iter()
            .map(|b| i32::from_le_bytes(*b).into())
            .collect()
    })
}

/// How 8-bit samples become numbers; signed ones are samples minus 128.
fn input_quantization(tensor: &Described<'_>) -> Option<Quantization> {
    let offset = match tensor.kind {
        kind::UINT8 => 0,
        kind::INT8 => 128,
        _ => return None,
    };
    let quantization = tensor.quantization?;
    let scale = quantization.elements(2, 4)?.f32(0)?;
    let zero_point = quantization.elements(3, 8).and_then(|z| z.i64(0));
    (scale.is_normal() && scale > 0.0).then(|| Quantization {
        scale,
        zero_point: zero_point.unwrap_or(0).saturating_add(offset),
    })
}
