//! TensorFlow's `TensorProto`, as in graphs and V1 checkpoints, and its numbers of dtypes.
//!
//! ```text
//! TensorProto { DataType dtype = 1, TensorShapeProto tensor_shape = 2, bytes tensor_content = 4,
//!               repeated float float_val = 5, repeated double double_val = 6,
//!               repeated int32 half_val = 13 (the bits of half and bfloat16) }
//! ```

use half::{bf16, f16};
use prost::Message;
use prost::bytes::Bytes;

use super::{Budget, RawTensor, ReadError, from_le_bytes, volume};
use crate::array::{Dtype, Values};

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, tag = "1")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    dim: Vec<Dimension>,
    #[prost(bool, tag = "3")]
    unknown_rank: bool,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    tensor_shape: Option<TensorShape>,
    #[prost(bytes = "bytes", tag = "4")]
    tensor_content: Bytes,
    #[prost(float, repeated, tag = "5")]
    float_val: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    double_val: Vec<f64>,
    #[prost(int32, repeated, tag = "13")]
    half_val: Vec<i32>,
}

impl TensorShape {
    /// The sizes. An unknown one is an error.
    pub(super) fn sizes(&self, name: &str) -> Result<Vec<usize>, ReadError> {
        if self.unknown_rank {
            return Err(ReadError::tensor(name, "a tensor of unknown rank"));
        }
        self.dim
            .iter()
            .map(|dimension| usize::try_from(dimension.size))
            .collect::<Result<_, _>>()
            .map_err(|_| ReadError::tensor(name, "a negative size"))
    }
}

/// The dtype of a `DataType` number, if it is floating point.
pub(super) fn float_dtype(number: i32) -> Option<Dtype> {
    match number {
        1 => Some(Dtype::F32),
        2 => Some(Dtype::F64),
        14 => Some(Dtype::BF16),
        19 => Some(Dtype::F16),
        _ => None,
    }
}

/// Reads a tensor that states its dtype and shape.
pub(super) fn read(name: &str, bytes: &[u8], budget: &mut Budget) -> Result<RawTensor, ReadError> {
    let proto = decode(name, bytes, budget)?;
    let shape = proto.tensor_shape.clone().unwrap_or_default().sizes(name)?;
    let dtype = float_dtype(proto.dtype);
    let values = dtype.map(|dtype| values(name, &proto, dtype, &shape, budget));
    let dtype = dtype.map_or(format!("DataType {}", proto.dtype), |d| format!("{d:?}"));
    Ok(RawTensor::new(dtype, shape, values.transpose()?))
}

/// Reads the values of a tensor whose dtype and shape are known from elsewhere.
pub(super) fn read_values(
    name: &str,
    bytes: &[u8],
    dtype: Dtype,
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Values, ReadError> {
    let proto = decode(name, bytes, budget)?;
    values(name, &proto, dtype, shape, budget)
}

fn decode(name: &str, bytes: &[u8], budget: &mut Budget) -> Result<TensorProto, ReadError> {
    // The decoded copy counts too, although it is short-lived.
    budget.take(name, bytes.len() as u64)?;
    TensorProto::decode(Bytes::copy_from_slice(bytes))
        .map_err(|error| ReadError::tensor(name, error))
}

fn values(
    name: &str,
    proto: &TensorProto,
    dtype: Dtype,
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Values, ReadError> {
    if proto.tensor_content.is_empty() {
        typed_values(name, proto, dtype, shape, budget)
    } else {
        from_le_bytes(name, &proto.tensor_content, dtype, shape, budget)
    }
}

/// Values in the typed fields. If there are fewer than the shape has, the last one is repeated.
fn typed_values(
    name: &str,
    proto: &TensorProto,
    dtype: Dtype,
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Values, ReadError> {
    let count = volume(name, shape)?;
    budget.take(name, (count as u64).saturating_mul(dtype.bytes() as u64))?;
    Ok(match dtype {
        Dtype::F32 => Values::F32(fill(name, &proto.float_val, count)?.into()),
        Dtype::F64 => Values::F64(fill(name, &proto.double_val, count)?),
        Dtype::F16 => Values::F16(halves(name, proto, count, f16::from_bits)?),
        Dtype::BF16 => Values::BF16(halves(name, proto, count, bf16::from_bits)?),
        _ => return Err(ReadError::tensor(name, format!("no field holds {dtype:?}"))),
    })
}

/// 16-bit values, each stored in an integer of its own.
fn halves<T: Copy>(
    name: &str,
    proto: &TensorProto,
    count: usize,
    from_bits: impl Fn(u16) -> T,
) -> Result<Vec<T>, ReadError> {
    let values: Vec<T> = proto
        .half_val
        .iter()
        .map(|&bits| from_bits(bits as u16))
        .collect();
    fill(name, &values, count)
}

fn fill<T: Copy>(name: &str, values: &[T], count: usize) -> Result<Vec<T>, ReadError> {
    match values.last() {
        _ if values.len() > count => {
            let found = values.len();
            Err(ReadError::tensor(
                name,
                format!("{found} values for a shape of {count}"),
            ))
        }
        Some(&last) => {
            let mut values = values.to_vec();
            values.resize(count, last);
            Ok(values)
        }
        None if count == 0 => Ok(Vec::new()),
        None => Err(ReadError::tensor(
            name,
            format!("no values for a shape of {count}"),
        )),
    }
}
