//! TFLite: a FlatBuffer `Model`. Quantised tensors stay integers, with their scales and zero
//! points.
//!
//! ```text
//! Model    { 1 operator_codes, 2 subgraphs, 4 buffers, 6 metadata }
//! SubGraph { 0 tensors, 1 inputs, 2 outputs, 3 operators }
//! Tensor   { 0 shape, 1 type, 2 buffer, 3 name, 4 quantization }
//! Buffer   { 0 data }
//! Metadata { 0 name, 1 buffer }
//! Quantization { 2 scale, 3 zero_point, 6 quantized_dimension }
//! ```
//!
//! `operators.rs` translates operators to operations, `integers.rs` to layers of integers, and
//! `branches.rs` to layers of integers or numbers (`float_layer.rs`) that are no chain.

mod branches;
mod float_layer;
mod integers;
mod labels;
mod operators;
mod tables;
mod tensors;

use std::collections::{BTreeMap, HashMap};

use super::flatbuffer::Elements;
use super::graph::{Graph, Input};
use super::{Budget, NamedTensors, ReadError, ReadLimits};
pub use branches::{
    Branched, TailInput, TailKind, TailOperator, has_custom_operator, read_branches,
    read_float_branches,
};
pub use float_layer::FloatLayer;
pub use integers::{has_integers, read_integers};
use labels::labels;
use operators::operation;
use tables::{RECORD, Tables, missing};
use tensors::{constant, describe, input_samples, kind, malformed, small_integers};

/// Whether the file has TFLite's identifier, which follows the offset of the root.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    read_up_to(usize::MAX, bytes, budget)
}

/// All but the values of weights, for whoever reads these as integers.
///
/// # Errors
/// If the bytes break the format's rules or exceed the limits.
pub(in crate::checkpoint) fn read_outline(
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<NamedTensors, ReadError> {
    let budget = &mut Budget::new(limits);
    budget.opened(bytes.len() as u64);
    read_up_to(MOST_OUTLINED, bytes, budget)
}

/// Most bytes of a constant in an outline. The image's mean or scale has fewer.
const MOST_OUTLINED: usize = 64;

/// Reads a file; constants of more than `most` bytes get no values.
fn read_up_to(most: usize, bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let Tables {
        buffers,
        codes,
        tensors: listed,
        inputs,
        operators,
        metadata: texts,
        ..
    } = Tables::of(bytes)?;
    let mut named = NamedTensors::default();
    let mut tensors = Vec::new();
    let mut integers = HashMap::new();
    for index in 0..listed.len {
        budget.take("TFLite tensors", RECORD)?;
        let mut tensor = describe(&listed, index, &buffers, budget)?;
        if named.tensors.contains_key(&tensor.name) || tensor.name.is_empty() {
            tensor.name = format!("{}#{index}", tensor.name);
        }
        if let Some(data) = tensor.data {
            let kept = (data.len() <= most).then_some(data);
            named.insert(tensor.name.clone(), constant(&tensor, kept, budget)?)?;
            integers.extend(small_integers(&tensor, data).map(|values| (index, values)));
        }
        tensors.push(tensor);
    }

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
    // If the first operator quantises a float input, take the range from its output.
    let first = operations
        .first()
        .map(|operation| operation.output.as_str());
    let quantized = tensors
        .iter()
        .find(|tensor| Some(tensor.name.as_str()) == first && input.kind == kind::FLOAT32);
    let samples = input_samples(input).or_else(|| input_samples(quantized?));
    let input = Input {
        name: input.name.clone(),
        size: match input.shape.as_slice() {
            &[_, rows, columns, _] => Some([rows, columns]),
            _ => None,
        },
        samples,
    };
    named.graph = Some(Graph { input, operations });
    named.labels = labels(bytes, budget)?;
    if let Some(texts) = texts {
        named.metadata = metadata(&texts, &buffers, budget)?;
    }
    Ok(named)
}

/// Named buffers that hold text.
fn metadata(
    entries: &Elements<'_>,
    buffers: &Elements<'_>,
    budget: &mut Budget,
) -> Result<BTreeMap<String, String>, ReadError> {
    let mut texts = BTreeMap::new();
    for index in 0..entries.len {
        budget.take("TFLite metadata", RECORD)?;
        let entry = entries.table(index);
        let buffer = entry.and_then(|entry| usize::try_from(entry.i32(1)?).ok());
        let data = buffer.and_then(|buffer| buffers.table(buffer)?.text(0));
        if let (Some(name), Some(text)) = (entry.and_then(|entry| entry.text(0)), data) {
            budget.take(name, (name.len() + text.len()) as u64)?;
            texts.insert(name.to_string(), text.to_string());
        }
    }
    Ok(texts)
}
