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
//! `nodes.rs` translates nodes to operations, `on_integers.rs` those on integers.

mod constants;
mod integers;
mod nodes;
mod on_integers;
mod quantized;

use super::graph::{Graph, Input};
use super::protobuf::{Field, next_field, text};
use super::{Budget, NamedTensors, ReadError};
use constants::Constants;
use integers::Integers;
use nodes::{Node, Nodes};
use quantized::QuantizedConstants;

/// Whether the bytes begin with an IR version, and contain a graph and only known fields.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    if !matches!(
        next_field(&mut rest, ""),
        Ok(Some(Field::Varint(1, 1..=64)))
    ) {
        return false;
    }
    loop {
        let begins_graph = rest.first() == Some(&(7 << 3 | 2));
        match next_field(&mut rest, "") {
            Ok(Some(Field::Bytes(7, graph))) => return !graph.is_empty(),
            Ok(Some(Field::Bytes(2..=8 | 14 | 20 | 25 | 26, _) | Field::Varint(5, _))) => {}
            Ok(_) => return false,
            // A graph that is cut off: the reader says so.
            Err(_) => return begins_graph,
        }
    }
}

/// Whether a file rounds its activations to integers.
///
/// # Errors
/// If the bytes break the format's rules.
pub(in crate::checkpoint) fn has_integers(bytes: &[u8]) -> Result<bool, ReadError> {
    let mut model = bytes;
    while let Some(field) = next_field(&mut model, "model")? {
        let Field::Bytes(7, mut graph) = field else {
            continue;
        };
        while let Some(field) = next_field(&mut graph, "graph")? {
            if let Field::Bytes(1, node) = field
                && matches!(Node::parse(node)?.op, "QuantizeLinear" | "QLinearConv")
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
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
        quantized: QuantizedConstants::default(),
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
    let operations = nodes.finish();
    named.graph = Some(Graph { input, operations });
    Ok(named)
}

/// Bytes of memory for an input.
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
            // Path of the message: TypeProto -> tensor_type -> shape -> dim -> dim_value.
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

/// The message in a field, or empty bytes if it is absent.
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
