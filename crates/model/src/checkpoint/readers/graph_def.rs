//! Frozen TensorFlow graphs: a protobuf `GraphDef` whose `Const` nodes are the tensors.
//!
//! ```text
//! GraphDef           { repeated NodeDef node = 1, FunctionDefLibrary library = 2 }
//! NodeDef            { string name = 1, string op = 2, map<string, AttrValue> attr = 5 }
//! AttrValue          { float f = 4, TensorProto tensor = 8 }
//! FunctionDefLibrary { repeated FunctionDef function = 1 }
//! FunctionDef        { repeated NodeDef node_def = 3 }
//! ```

use super::protobuf::{Field, next_field, text};
use super::{Budget, NamedTensors, ReadError, tensor_proto};

/// Whether the file's first field is a node with a name, as in every `GraphDef`.
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
            Some(Field::Bytes(2, library)) => read_library(library, &mut named, budget)?,
            Some(_) => {}
        }
    }
    if count == 0 {
        return Err(ReadError::malformed("graph", "it has no nodes"));
    }
    Ok(named)
}

/// Reads the epsilons of functions, of which the graphs of TensorFlow 2 consist. Constants of
/// functions are not parameters, and different functions may use the same names.
fn read_library(
    mut library: &[u8],
    named: &mut NamedTensors,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    const PLACE: &str = "function library";
    while let Some(field) = next_field(&mut library, PLACE)? {
        let Field::Bytes(1, mut function) = field else {
            continue;
        };
        let mut own = NamedTensors::default();
        while let Some(field) = next_field(&mut function, PLACE)? {
            if let Field::Bytes(3, node) = field {
                read_node(node, PLACE, &mut own, budget)?;
            }
        }
        named.epsilons.extend(own.epsilons);
    }
    Ok(())
}

/// End of the name of epsilon, where batch normalisation consists of single operations.
const EPSILON: &str = "/batchnorm/add/y";

/// The parts of a node that we use.
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
        let tensor = tensor_proto::read(node.name, value, budget)?;
        if node.name.ends_with(EPSILON)
            && let Some(epsilon) = tensor.scalar()
        {
            named
                .epsilons
                .insert(node.name.to_string(), decimal(epsilon as f32));
        }
        named.insert(node.name.to_string(), tensor)?;
    } else if let Some(epsilon) = node.epsilon
        && node.op.starts_with("FusedBatchNorm")
    {
        named
            .epsilons
            .insert(node.name.to_string(), decimal(epsilon));
    }
    Ok(())
}

/// The short decimal that was rounded to an f32: 0.001, not 0.0010000000474974513.
fn decimal(epsilon: f32) -> f64 {
    epsilon.to_string().parse().unwrap_or(f64::from(epsilon))
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
