//! Frozen TensorFlow graphs: a protobuf `GraphDef` whose `Const` nodes are the tensors.
//!
//! ```text
//! GraphDef    { repeated NodeDef node = 1 }
//! NodeDef     { string name = 1, string op = 2, map<string, AttrValue> attr = 5 }
//! AttrValue   { float f = 4, TensorProto tensor = 8 }
//! TensorProto { DataType dtype = 1, TensorShapeProto tensor_shape = 2, bytes tensor_content = 4,
//!               repeated float float_val = 5, repeated double double_val = 6 }
//! ```

use candle_core::{DType, Device, Tensor};
use prost::Message;
use prost::bytes::Bytes;

use super::protobuf::{Field, next_field, text};
use super::{Budget, NamedTensors, RawTensor, from_le_bytes, volume};
use crate::checkpoint::error::ReadError;

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, tag = "1")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
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
}

/// TensorFlow's `DataType` numbers of the dtypes that parameters have.
fn float_dtype(number: i32) -> Option<DType> {
    match number {
        1 => Some(DType::F32),
        2 => Some(DType::F64),
        14 => Some(DType::BF16),
        19 => Some(DType::F16),
        _ => None,
    }
}

/// Whether the file's first field is a node with a name: what every `GraphDef` begins with.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let Ok(Some(Field::Bytes(1, node))) = next_field(&mut rest, "graph") else {
        return false;
    };
    let mut node = node;
    matches!(
        next_field(&mut node, "node"),
        Ok(Some(Field::Bytes(1, name))) if std::str::from_utf8(name).is_ok_and(|n| !n.is_empty())
    )
}

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut named = NamedTensors::default();
    let mut rest = bytes;
    let mut count = 0usize;
    loop {
        let place = format!("graph, after node {count}");
        match next_field(&mut rest, &place)? {
            None => break,
            Some(Field::Bytes(1, node)) => {
                read_node(node, &format!("node {count}"), &mut named, budget)?;
                count += 1;
            }
            Some(_) => {}
        }
    }
    if count == 0 {
        return Err(ReadError::malformed("graph", "it has no nodes"));
    }
    Ok(named)
}

/// Attributes of a node that we use.
#[derive(Default)]
struct Node<'a> {
    name: &'a str,
    op: &'a str,
    value: Option<&'a [u8]>,
    epsilon: Option<f32>,
}

fn read_node(
    bytes: &[u8],
    place: &str,
    named: &mut NamedTensors,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    let mut node = Node::default();
    let mut rest = bytes;
    while let Some(field) = next_field(&mut rest, place)? {
        match field {
            Field::Bytes(1, name) => node.name = text(name, place)?,
            Field::Bytes(2, op) => node.op = text(op, place)?,
            Field::Bytes(5, attribute) => read_attribute(attribute, place, &mut node)?,
            _ => {}
        }
    }
    if node.op == "Const" {
        let value = node
            .value
            .ok_or_else(|| ReadError::tensor(node.name, "a Const without a value"))?;
        named.insert(
            node.name.to_string(),
            read_tensor(node.name, value, budget)?,
        )?;
    } else if let Some(epsilon) = node.epsilon
        && node.op.starts_with("FusedBatchNorm")
    {
        // An f32 attribute that means a short decimal: 0.001, not 0.0010000000474974513.
        let epsilon = epsilon.to_string().parse().unwrap_or(f64::from(epsilon));
        named.epsilons.insert(node.name.to_string(), epsilon);
    }
    Ok(())
}

/// One entry of the map: key = 1, value = 2.
fn read_attribute<'a>(bytes: &'a [u8], place: &str, node: &mut Node<'a>) -> Result<(), ReadError> {
    let (mut key, mut value): (&[u8], &[u8]) = (b"", b"");
    let mut rest = bytes;
    while let Some(field) = next_field(&mut rest, place)? {
        match field {
            Field::Bytes(1, bytes) => key = bytes,
            Field::Bytes(2, bytes) => value = bytes,
            _ => {}
        }
    }
    while let Some(field) = next_field(&mut value, place)? {
        match (key, field) {
            (b"value", Field::Bytes(8, tensor)) => node.value = Some(tensor),
            (b"epsilon", Field::Fixed32(4, bits)) => node.epsilon = Some(f32::from_le_bytes(bits)),
            _ => {}
        }
    }
    Ok(())
}

fn read_tensor(name: &str, bytes: &[u8], budget: &mut Budget) -> Result<RawTensor, ReadError> {
    // The decoded copy lives only in this function, but it counts.
    budget.take(name, bytes.len() as u64)?;
    let proto = TensorProto::decode(Bytes::copy_from_slice(bytes))
        .map_err(|error| ReadError::tensor(name, error))?;
    let shape = proto.tensor_shape.clone().unwrap_or_default();
    if shape.unknown_rank {
        return Err(ReadError::tensor(name, "a constant of unknown rank"));
    }
    let shape = shape
        .dim
        .iter()
        .map(|dimension| usize::try_from(dimension.size))
        .collect::<Result<Vec<usize>, _>>()
        .map_err(|_| ReadError::tensor(name, "a negative size"))?;
    let Some(dtype) = float_dtype(proto.dtype) else {
        return Ok(RawTensor {
            dtype: format!("DataType {}", proto.dtype),
            shape,
            values: None,
        });
    };
    let values = if proto.tensor_content.is_empty() {
        typed_values(name, &proto, dtype, &shape, budget)?
    } else {
        from_le_bytes(name, &proto.tensor_content, dtype, &shape, budget)?
    };
    Ok(RawTensor {
        dtype: format!("{dtype:?}"),
        shape,
        values: Some(values),
    })
}

/// Values in the typed fields; the last one stands for all that follow.
fn typed_values(
    name: &str,
    proto: &TensorProto,
    dtype: DType,
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Tensor, ReadError> {
    let count = volume(name, shape)?;
    budget.take(
        name,
        (count as u64).saturating_mul(dtype.size_in_bytes() as u64),
    )?;
    let tensor = match dtype {
        DType::F32 => fill(name, &proto.float_val, count)
            .map(|values| Tensor::from_vec(values, shape, &Device::Cpu))?,
        DType::F64 => fill(name, &proto.double_val, count)
            .map(|values| Tensor::from_vec(values, shape, &Device::Cpu))?,
        _ => {
            let problem = format!("{dtype:?} values outside tensor_content are not supported");
            return Err(ReadError::tensor(name, problem));
        }
    };
    tensor.map_err(|error| ReadError::tensor(name, error))
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
