//! TensorFlow checkpoints. Both versions are a sorted table ([`table`]). In version 1 ([`v1`]) the
//! table holds the tensors. In version 2 ([`v2`]) it holds their offsets in data files
//! `PREFIX.data-00000-of-00001`.

mod object_graph;
mod slices;
mod table;
mod v1;
mod v2;

use super::protobuf::{Field, next_field};
use super::{Budget, NamedTensors, Source};
use crate::checkpoint::readers::ReadError;

/// Whether the file ends as a table does.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    table::looks_like(bytes)
}

pub(super) fn read(source: &Source<'_>, budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    // The value of the first key, which is empty, describes the file. In V1 it begins with a
    // message, the list of tensors, and in V2 with the number of data files.
    let mut first = None;
    table::for_each(source.bytes, budget, |key, mut value, _| {
        if key.is_empty() && first.is_none() {
            first = Some(matches!(
                next_field(&mut value, "checkpoint header")?,
                Some(Field::Bytes(1, _))
            ));
        }
        Ok(())
    })?;
    match first {
        Some(true) => v1::read(source.bytes, budget),
        Some(false) => v2::read(source, budget),
        None => Err(ReadError::malformed("checkpoint", "it has no header")),
    }
}
