//! The object graph that TensorFlow 2 saves with the variables. The keys of variables are paths
//! through Python objects (`layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE`). The graph
//! maps them to the variables' own names.
//!
//! ```text
//! TrackableObjectGraph { repeated TrackableObject nodes = 1 }
//! TrackableObject      { repeated SerializedTensor attributes = 2 }
//! SerializedTensor     { string name = 1, string full_name = 2, string checkpoint_key = 3 }
//! ```

use std::collections::HashMap;

use prost::encoding::decode_varint;

use crate::checkpoint::readers::ReadError;
use crate::checkpoint::readers::protobuf::{Field, next_field, text};

/// Key of the object graph in the table.
pub(super) const KEY: &[u8] = b"_CHECKPOINTABLE_OBJECT_GRAPH";

const PLACE: &str = "object graph";

/// A variable's path, without the suffix that all keys have.
pub(super) fn path(key: &str) -> &str {
    key.strip_suffix("/.ATTRIBUTES/VARIABLE_VALUE")
        .unwrap_or(key)
}

/// Names of variables by their keys. `tensor` is a single string: its length as a varint, a
/// checksum of the length, the string.
pub(super) fn full_names(tensor: &[u8]) -> Result<HashMap<String, String>, ReadError> {
    let broken = || ReadError::malformed(PLACE, "it is no string");
    let mut rest = tensor;
    let length = decode_varint(&mut rest).map_err(|_| broken())?;
    let (_checksum, mut graph) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
    if graph.len() as u64 != length {
        return Err(broken());
    }
    let mut names = HashMap::new();
    while let Some(field) = next_field(&mut graph, PLACE)? {
        let Field::Bytes(1, mut node) = field else {
            continue;
        };
        while let Some(field) = next_field(&mut node, PLACE)? {
            let Field::Bytes(2, mut attribute) = field else {
                continue;
            };
            let (mut name, mut key) = ("", "");
            while let Some(field) = next_field(&mut attribute, PLACE)? {
                match field {
                    Field::Bytes(2, bytes) => name = text(bytes, PLACE)?,
                    Field::Bytes(3, bytes) => key = text(bytes, PLACE)?,
                    _ => {}
                }
            }
            if !name.is_empty() {
                names.insert(key.to_string(), name.to_string());
            }
        }
    }
    Ok(names)
}
