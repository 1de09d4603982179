//! V1: each value of the table is a slice of a tensor, except the first, which lists the tensors.
//!
//! ```text
//! SavedTensorSlices    { SavedTensorSliceMeta meta = 1, SavedSlice data = 2 }
//! SavedTensorSliceMeta { repeated SavedSliceMeta tensor = 1 }
//! SavedSliceMeta       { string name = 1, TensorShapeProto shape = 2, DataType type = 3,
//!                        repeated TensorSliceProto slice = 4 }
//! SavedSlice           { string name = 1, TensorSliceProto slice = 2, TensorProto data = 3 }
//! ```

use std::collections::HashMap;

use prost::Message;

use super::slices::{Assembly, TensorSlice};
use super::table;
use crate::checkpoint::readers::ReadError;
use crate::checkpoint::readers::protobuf::{Field, next_field, text};
use crate::checkpoint::readers::tensor_proto::{self, TensorShape, float_dtype};
use crate::checkpoint::readers::{Budget, NamedTensors, RawTensor};

const PLACE: &str = "list of tensors";

/// Most bytes of memory per byte of a tensor's description.
const DECODED: u64 = 32;

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut named = NamedTensors::default();
    let mut assemblies: HashMap<String, Assembly> = HashMap::new();
    table::for_each(bytes, budget, |_, mut value, budget| {
        while let Some(field) = next_field(&mut value, PLACE)? {
            match field {
                Field::Bytes(1, list) => describe(list, &mut named, &mut assemblies, budget)?,
                Field::Bytes(2, piece) => read_piece(piece, &mut assemblies, budget)?,
                _ => {}
            }
        }
        Ok(())
    })?;
    for (name, assembly) in assemblies {
        let tensor = assembly.finish(&name, budget)?;
        named.insert(name, tensor)?;
    }
    Ok(named)
}

/// Prepares the assembly of floating-point tensors. The others get no values.
fn describe(
    mut list: &[u8],
    named: &mut NamedTensors,
    assemblies: &mut HashMap<String, Assembly>,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    while let Some(field) = next_field(&mut list, PLACE)? {
        let Field::Bytes(1, mut tensor) = field else {
            continue;
        };
        let (mut name, mut shape, mut number) = ("", TensorShape::default(), 0);
        budget.take(PLACE, DECODED * tensor.len() as u64)?;
        while let Some(field) = next_field(&mut tensor, PLACE)? {
            match field {
                Field::Bytes(1, bytes) => name = text(bytes, PLACE)?,
                Field::Bytes(2, bytes) => {
                    shape = TensorShape::decode(bytes)
                        .map_err(|error| ReadError::malformed(PLACE, error))?;
                }
                Field::Varint(3, value) => number = value as i32,
                _ => {}
            }
        }
        let shape = shape.sizes(name)?;
        match float_dtype(number) {
            Some(dtype) if !assemblies.contains_key(name) => {
                let assembly = Assembly::new(name, dtype, shape, budget)?;
                assemblies.insert(name.to_string(), assembly);
            }
            Some(_) => return Err(ReadError::tensor(name, "appears twice")),
            None => {
                let tensor = RawTensor::new(format!("DataType {number}"), shape, None);
                named.insert(name.to_string(), tensor)?;
            }
        }
    }
    Ok(())
}

fn read_piece(
    mut piece: &[u8],
    assemblies: &mut HashMap<String, Assembly>,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    let (mut name, mut slice, mut data): (_, _, &[u8]) = ("", TensorSlice::default(), &[]);
    while let Some(field) = next_field(&mut piece, "a slice")? {
        match field {
            Field::Bytes(1, bytes) => name = text(bytes, "a slice")?,
            Field::Bytes(2, bytes) => {
                budget.take(name, DECODED * bytes.len() as u64)?;
                slice = TensorSlice::decode(bytes)
                    .map_err(|error| ReadError::malformed("a slice", error))?;
            }
            Field::Bytes(3, bytes) => data = bytes,
            _ => {}
        }
    }
    // Skip slices of tensors that are not floating point.
    let Some(assembly) = assemblies.get_mut(name) else {
        return Ok(());
    };
    // A slice does not repeat the dtype and shape.
    let shape = assembly.piece_shape(name, &slice)?;
    let values = tensor_proto::read_values(name, data, assembly.dtype(), &shape, budget)?;
    assembly.fill(name, &slice, &values.to_le_bytes())
}
