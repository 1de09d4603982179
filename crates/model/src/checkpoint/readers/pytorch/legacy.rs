//! The format of `torch.save` before version 1.6, or with `_use_new_zipfile_serialization=False`:
//! several pickles one after the other, then the storages.
//!
//! ```text
//! magic number, protocol version, system information, the object, list of storage keys;
//! for each key: number of elements (i64), elements
//! ```

use std::borrow::Cow;

use super::pickle::Pickle;
use super::tensors::{self, Storages};
use crate::checkpoint::readers::ReadError;
use crate::checkpoint::readers::{Budget, NamedTensors};

/// The integer 0x1950a86a20f9469cfc6c, pickled by protocol 2.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The integer 1001, pickled by protocol 2.
const PROTOCOL: &[u8] = b"\x80\x02M\xe9\x03.";

const PLACE: &str = "storages";

/// Whether the file begins with the magic number.
pub(in crate::checkpoint::readers) fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

pub(in crate::checkpoint::readers) fn read(
    bytes: &[u8],
    budget: &mut Budget,
) -> Result<NamedTensors, ReadError> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| ReadError::malformed("start", "the magic number is missing"))?
        .strip_prefix(PROTOCOL)
        .ok_or_else(|| ReadError::malformed("start", "a protocol other than 1001"))?;
    let (_system, rest) = Pickle::parse_first(rest)?;
    let (object, rest) = Pickle::parse_first(rest)?;
    let (keys, mut rest) = Pickle::parse_first(rest)?;
    let keys = keys
        .sequence(keys.root())
        .and_then(|ids| ids.iter().map(|&id| keys.text(id)).collect())
        .ok_or_else(|| ReadError::malformed(PLACE, "their keys are no list of text"));
    let keys: Vec<&str> = keys?;

    let widths = tensors::element_bytes(&object);
    let mut storages = Storages::new();
    for key in keys {
        // Without its size, the start of the next storage is unknown.
        let width = *widths.get(key).ok_or_else(|| {
            ReadError::malformed(PLACE, format!("the element size of `{key}` is unknown"))
        })?;
        let storage = take(&mut rest, width)
            .ok_or_else(|| ReadError::malformed(PLACE, format!("`{key}` exceeds the file")))?;
        storages.insert(key.to_string(), Cow::Borrowed(storage));
    }
    let found = tensors::find(&object, budget)?;
    tensors::read(found, &storages, budget)
}

/// Takes a storage off the front of `rest`.
fn take<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let (count, after) = rest.split_first_chunk::<8>()?;
    let size = usize::try_from(i64::from_le_bytes(*count))
        .ok()?
        .checked_mul(width)?;
    let (storage, after) = after.split_at_checked(size)?;
    *rest = after;
    Some(storage)
}
