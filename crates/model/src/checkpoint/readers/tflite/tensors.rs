//! Tensors of a TFLite file: their descriptions, and the values of constants.

use crate::array::Dtype;
use crate::checkpoint::readers::flatbuffer::{Elements, Table};
use crate::checkpoint::readers::graph::Samples;
use crate::checkpoint::readers::{
    Budget, Quantization, RawTensor, ReadError, from_le_bytes, volume,
};

/// Most axes of a tensor.
const MOST_AXES: usize = 8;

pub(super) fn malformed(place: &str, problem: impl ToString) -> ReadError {
    ReadError::malformed(place, problem)
}

/// Numbers of `TensorType` in the schema.
pub(super) mod kind {
    pub(in super::super) const FLOAT32: u8 = 0;
    pub(in super::super) const FLOAT16: u8 = 1;
    pub(in super::super) const INT32: u8 = 2;
    pub(in super::super) const UINT8: u8 = 3;
    pub(in super::super) const INT8: u8 = 9;
}

/// A tensor of the graph.
#[derive(Default)]
pub(super) struct Described<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) kind: u8,
    quantization: Option<Table<'a>>,
    /// Values of a constant.
    pub(super) data: Option<&'a [u8]>,
}

/// Reads the description of a tensor.
pub(super) fn describe<'a>(
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

/// Reads a constant. It gets no values without `data`, nor if it has integers that are not
/// quantised.
pub(super) fn constant(
    tensor: &Described<'_>,
    data: Option<&[u8]>,
    budget: &mut Budget,
) -> Result<RawTensor, ReadError> {
    let Described { name, shape, .. } = tensor;
    let quantization = quantization(tensor)?;
    let dtype = match tensor.kind {
        kind::FLOAT32 => Some(Dtype::F32),
        kind::FLOAT16 => Some(Dtype::F16),
        kind::UINT8 => Some(Dtype::U8),
        kind::INT8 => Some(Dtype::I8),
        kind::INT32 => Some(Dtype::I32),
        _ => None,
    };
    let is_number =
        |dtype: &Dtype| quantization.is_some() || matches!(dtype, Dtype::F32 | Dtype::F16);
    let values = dtype
        .filter(is_number)
        .zip(data)
        .map(|(dtype, data)| from_le_bytes(name, data, dtype, shape, budget));
    if quantization.is_some() && data.is_some() {
        // The integers may be converted to f32 later.
        budget.take(name, 4 * volume(name, shape)? as u64)?;
    }
    Ok(RawTensor {
        quantization,
        ..RawTensor::new(
            format!("TFLite type {}", tensor.kind),
            shape.clone(),
            values.transpose()?,
        )
    })
}

/// Scales and zero points of a quantised tensor.
pub(super) fn quantization(tensor: &Described<'_>) -> Result<Option<Quantization>, ReadError> {
    let Described { name, shape, .. } = tensor;
    let wrong = |problem: String| ReadError::tensor(name, problem);
    if !matches!(tensor.kind, kind::UINT8 | kind::INT8 | kind::INT32) {
        return Ok(None);
    }
    let Some(table) = tensor.quantization else {
        return Ok(None);
    };
    let Some(scales) = table.elements(2, 4).filter(|scales| scales.len > 0) else {
        return Ok(None);
    };
    let axis = table.i32(6).unwrap_or(0);
    let axis = usize::try_from(axis).map_err(|error| wrong(error.to_string()))?;
    let count = scales.len;
    if count > 1 && shape.get(axis) != Some(&count) {
        return Err(wrong(format!(
            "{count} scales along axis {axis} of {shape:?}"
        )));
    }
    // Zero points beyond the number of scales are ignored: a single scale has a single one.
    let zero_points = table.elements(3, 8).map_or(Vec::new(), |points| {
        (0..points.len.min(count))
            .filter_map(|i| points.i64(i))
            .collect()
    });
    Ok(Some(Quantization {
        scales: (0..count).filter_map(|i| scales.f32(i)).collect(),
        zero_points,
        axis,
    }))
}

/// Small integer constants: paddings and axes.
pub(super) fn small_integers(tensor: &Described<'_>, data: &[u8]) -> Option<Vec<i64>> {
    (tensor.kind == kind::INT32 && data.len() <= 64).then(|| {
        let (chunks, _) = data.as_chunks::<4>();
        chunks
            .iter()
            .map(|b| i32::from_le_bytes(*b).into())
            .collect()
    })
}

/// How 8-bit samples become numbers. Signed inputs are samples minus 128.
pub(super) fn input_samples(tensor: &Described<'_>) -> Option<Samples> {
    let offset = match tensor.kind {
        kind::UINT8 => 0,
        kind::INT8 => 128,
        _ => return None,
    };
    let quantization = tensor.quantization?;
    let scale = quantization.elements(2, 4)?.f32(0)?;
    let zero_point = quantization.elements(3, 8).and_then(|z| z.i64(0));
    (scale.is_normal() && scale > 0.0).then(|| Samples {
        scale,
        zero_point: zero_point.unwrap_or(0).saturating_add(offset),
    })
}
