//! ONNX: a protobuf `ModelProto` with the graph and its tensors.
//!
//! ```text
//! ModelProto  { GraphProto graph = 7, repeated StringStringEntryProto metadata_props = 14 }
//! GraphProto  { repeated NodeProto node = 1, repeated TensorProto initializer = 5,
//!               repeated ValueInfoProto input = 11 }
//! TensorProto { repeated int64 dims = 1, int32 data_type = 2, repeated float float_data = 4,
//!               repeated int32 int32_data = 5, repeated int64 int64_data = 7, string name = 8,
//!               bytes raw_data = 9, repeated double double_data = 10, int32 data_location = 14 }
//! ```
//!
//! Nodes become operations in `onnx_nodes.rs`.

use candle_core::DType;

use super::graph::{Graph, Input};
use super::onnx_integers::Integers;
use super::onnx_nodes::Nodes;
use super::protobuf::{Field, next_field, push_integers, text};
use super::{Budget, NamedTensors, RawTensor, from_le_bytes};
use crate::checkpoint::error::ReadError;

/// Axes that a tensor may have.
const MOST_AXES: usize = 8;

/// Bytes of a raw constant of integers that may be kept.
const MOST_BYTES: usize = 256;

/// Whether the bytes are a model: an IR version first, and a graph among known fields.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    if !matches!(
        next_field(&mut rest, ""),
        Ok(Some(Field::Varint(1, 1..=64)))
    ) {
        return false;
    }
    loop {
        match next_field(&mut rest, "") {
            Ok(Some(Field::Bytes(7, graph))) => return !graph.is_empty(),
            Ok(Some(Field::Bytes(2..=8 | 14 | 20 | 25 | 26, _) | Field::Varint(5, _))) => {}
            _ => return false,
        }
    }
}

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut named = NamedTensors::default();
    let mut graph: &[u8] = &[];
    let mut rest = bytes;
    while let Some(field) = next_field(&mut rest, "model")? {
        match field {
            Field::Bytes(7, bytes) => graph = bytes,
            Field::Bytes(14, entry) => {
                let (key, value) = text_entry(entry, "metadata_props")?;
                budget.take(key, (key.len() + value.len()) as u64)?;
                named.metadata.insert(key.to_string(), value.to_string());
            }
            _ => {}
        }
    }
    let mut constants = Constants {
        named: &mut named,
        integers: Integers::default(),
    };
    let mut inputs = Vec::new();
    let mut rest = graph;
    while let Some(field) = next_field(&mut rest, "graph")? {
        match field {
            Field::Bytes(5, tensor) => constants.read(tensor, None, budget)?,
            Field::Bytes(11, input) => {
                budget.take("input", INPUT_BYTES)?;
                inputs.push(value_info(input)?);
            }
            _ => {}
        }
    }
    // Old exporters list initialisers among the inputs.
    let input = inputs
        .into_iter()
        .find(|input| !constants.named.tensors.contains_key(&input.name))
        .ok_or_else(|| ReadError::malformed("graph", "it has no input"))?;
    let mut nodes = Nodes::new(constants);
    let mut rest = graph;
    while let Some(field) = next_field(&mut rest, "graph")? {
        if let Field::Bytes(1, node) = field {
            nodes.read(node, budget)?;
        }
    }
    let operations = nodes.operations;
    named.graph = Some(Graph { input, operations });
    Ok(named)
}

/// What an input takes.
const INPUT_BYTES: u64 = 256;

fn text_entry<'a>(bytes: &'a [u8], place: &str) -> Result<(&'a str, &'a str), ReadError> {
    let (mut key, mut value) = ("", "");
    let mut rest = bytes;
    while let Some(field) = next_field(&mut rest, place)? {
        match field {
            Field::Bytes(1, bytes) => key = text(bytes, place)?,
            Field::Bytes(2, bytes) => value = text(bytes, place)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Name and size of an input: `[N, C, H, W]`, or `[N, H, W, C]` from TensorFlow's exporters.
fn value_info(bytes: &[u8]) -> Result<Input, ReadError> {
    let place = "input";
    let mut input = Input::default();
    let mut sizes = Vec::new();
    let mut rest = bytes;
    while let Some(field) = next_field(&mut rest, place)? {
        match field {
            Field::Bytes(1, name) => input.name = text(name, place)?.to_string(),
            // TypeProto -> tensor_type -> shape -> dim -> dim_value.
            Field::Bytes(2, kind) => {
                let shape = inner(inner(kind, 1)?, 2)?;
                let mut rest = shape;
                while let Some(field) = next_field(&mut rest, place)? {
                    if let Field::Bytes(1, mut dimension) = field
                        && sizes.len() < 8
                    {
                        sizes.push(match next_field(&mut dimension, place)? {
                            Some(Field::Varint(1, size)) => usize::try_from(size).ok(),
                            _ => None,
                        });
                    }
                }
            }
            _ => {}
        }
    }
    if let &[_, a, b, c] = sizes.as_slice() {
        let image = if matches!(c, Some(1 | 3)) && !matches!(a, Some(1 | 3)) {
            a.zip(b)
        } else {
            b.zip(c)
        };
        input.size = image.map(|(rows, columns)| [rows, columns]);
    }
    Ok(input)
}

/// The message in a field; empty where it is absent.
fn inner(bytes: &[u8], tag: u32) -> Result<&[u8], ReadError> {
    let mut rest = bytes;
    while let Some(field) = next_field(&mut rest, "input")? {
        match field {
            Field::Bytes(found, inner) if found == tag => return Ok(inner),
            _ => {}
        }
    }
    Ok(&[])
}

/// Tensors of the file, and integers that operations need.
pub(super) struct Constants<'a> {
    pub(super) named: &'a mut NamedTensors,
    pub(super) integers: Integers,
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a str,
    dims: Vec<i64>,
    data_type: u64,
    raw: Option<&'a [u8]>,
    /// Packed `float_data` or `double_data`.
    packed: Option<&'a [u8]>,
    integers: Vec<i64>,
    external: bool,
}

impl Constants<'_> {
    /// Reads a `TensorProto`, under its own name or that of a `Constant` node's output.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        name: Option<&str>,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let mut fields = Fields::default();
        let mut rest = bytes;
        while let Some(field) = next_field(&mut rest, "tensor")? {
            match field {
                Field::Bytes(1, _) | Field::Varint(1, _) => {
                    push_integers(&field, &mut fields.dims, "dims")?;
                }
                Field::Varint(2, kind) => fields.data_type = kind,
                Field::Bytes(4 | 10, packed) => fields.packed = Some(packed),
                Field::Bytes(5 | 7, packed) => {
                    budget.take("tensor", 8 * packed.len() as u64)?;
                    push_integers(&field, &mut fields.integers, "integer data")?;
                }
                Field::Varint(5 | 7, _) => {
                    budget.take("tensor", 16)?;
                    push_integers(&field, &mut fields.integers, "integer data")?;
                }
                Field::Bytes(8, name) => fields.name = text(name, "tensor")?,
                Field::Bytes(9, raw) => fields.raw = Some(raw),
                Field::Varint(14, location) => fields.external = location == 1,
                _ => {}
            }
        }
        let name = name.unwrap_or(fields.name);
        if fields.dims.len() > MOST_AXES {
            return Err(ReadError::tensor(name, "too many dimensions"));
        }
        budget.take(name, (name.len() + std::mem::size_of::<RawTensor>()) as u64)?;
        let tensor = self.tensor(name, &fields, budget)?;
        self.named.insert(name.to_string(), tensor)
    }

    fn tensor(
        &mut self,
        name: &str,
        fields: &Fields<'_>,
        budget: &mut Budget,
    ) -> Result<RawTensor, ReadError> {
        if fields.external {
            let problem = "its values are in another file (external data), which is not \
                           supported: export the model as one file";
            return Err(ReadError::tensor(name, problem));
        }
        let shape = fields
            .dims
            .iter()
            .map(|&size| usize::try_from(size))
            .collect::<Result<Vec<usize>, _>>()
            .map_err(|_| ReadError::tensor(name, "a negative size"))?;
        let dtype = match fields.data_type {
            1 => DType::F32,
            10 => DType::F16,
            11 => DType::F64,
            16 => DType::BF16,
            other => {
                self.keep_integers(name, fields, &shape);
                return Ok(RawTensor {
                    dtype: format!("ONNX data type {other}"),
                    shape,
                    values: None,
                });
            }
        };
        let bits: Vec<u8>;
        let bytes = match (fields.raw, fields.packed) {
            (Some(raw), _) => raw,
            (None, Some(packed)) => packed,
            // Halves lie in `int32_data` as their bits.
            (None, None) => {
                bits = fields
                    .integers
                    .iter()
                    .flat_map(|&bits| (bits as u16).to_le_bytes())
                    .collect();
                &bits
            }
        };
        let values = from_le_bytes(name, bytes, dtype, &shape, budget)?;
        Ok(RawTensor {
            dtype: format!("{dtype:?}"),
            shape,
            values: Some(values),
        })
    }

    /// Paddings, axes and shapes.
    fn keep_integers(&mut self, name: &str, fields: &Fields<'_>, shape: &[usize]) {
        let raw = fields.raw.filter(|raw| raw.len() <= MOST_BYTES);
        let integers: Vec<i64> = match (fields.data_type, raw) {
            (7, Some(raw)) => {
                let (chunks, _) = raw.as_chunks::<8>();
                chunks.iter().map(|b| i64::from_le_bytes(*b)).collect()
            }
            (6, Some(raw)) => {
                let (chunks, _) = raw.as_chunks::<4>();
                chunks
                    .iter()
                    .map(|b| i32::from_le_bytes(*b).into())
                    .collect()
            }
            (6 | 7, None) => fields.integers.clone(),
            _ => return,
        };
        self.integers.insert(name, integers, shape);
    }
}
