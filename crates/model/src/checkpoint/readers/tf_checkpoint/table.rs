//! The sorted table of TensorFlow checkpoints, which is LevelDB's format: blocks of entries, an
//! index block with their offsets, and a footer with the offset of the index.
//!
//! ```text
//! footer  40 bytes: metaindex handle, index handle (offset and size as varints), zeros; magic
//! block   entries, u32 offsets of restarts, u32 their number; then a byte of compression
//!         (0 none, 1 snappy) and the masked crc32c of all before
//! entry   varints: bytes shared with the key before, other bytes of the key, bytes of the value
//! ```

use std::borrow::Cow;

use prost::encoding::decode_varint;

use crate::checkpoint::readers::Budget;
use crate::checkpoint::readers::ReadError;

const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57u64.to_le_bytes();
const FOOTER: usize = 48;
/// Bytes after a block: compression and checksum.
const TRAILER: usize = 5;

/// Whether the file ends with a table's footer.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.len() >= FOOTER && bytes.ends_with(&MAGIC)
}

/// Masks a checksum as LevelDB does for checksums stored next to the data.
pub(super) fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Calls `visit` with each key and value, in order.
pub(super) fn for_each(
    bytes: &[u8],
    budget: &mut Budget,
    mut visit: impl FnMut(&[u8], &[u8], &mut Budget) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let malformed = |problem: &str| ReadError::malformed("table footer", problem);
    if !looks_like(bytes) {
        return Err(malformed("the magic number is missing"));
    }
    let mut handles = &bytes[bytes.len() - FOOTER..];
    let broken = || malformed("its block handles are broken");
    Handle::take(&mut handles).ok_or_else(broken)?;
    let index = Handle::take(&mut handles).ok_or_else(broken)?;
    // Blocks do not overlap, so together they are no larger than the file.
    let mut left = bytes.len();
    let index = block(bytes, index, "index block", budget)?;
    entries(&index, "index block", |_, mut value| {
        let handle = Handle::take(&mut value)
            .ok_or_else(|| ReadError::malformed("index block", "a broken block handle"))?;
        let place = format!("block at byte {}", handle.offset);
        left = left
            .checked_sub(handle.size.saturating_add(TRAILER))
            .ok_or_else(|| ReadError::malformed(&place, "blocks overlap"))?;
        let data = block(bytes, handle, &place, budget)?;
        entries(&data, &place, |key, value| visit(key, value, budget))
    })
}

/// Position of a block.
struct Handle {
    offset: usize,
    size: usize,
}

impl Handle {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut number = || usize::try_from(decode_varint(bytes).ok()?).ok();
        Some(Self {
            offset: number()?,
            size: number()?,
        })
    }
}

/// Content of a block, after checking and decompression.
fn block<'a>(
    bytes: &'a [u8],
    handle: Handle,
    place: &str,
    budget: &mut Budget,
) -> Result<Cow<'a, [u8]>, ReadError> {
    let end = handle.offset.checked_add(handle.size);
    let with_trailer = end
        .and_then(|end| end.checked_add(TRAILER))
        .and_then(|end| bytes.get(handle.offset..end))
        .ok_or_else(|| ReadError::malformed(place, "it reaches beyond the file"))?;
    let (checked, stored) = with_trailer.split_at(handle.size + 1);
    let stored = stored
        .iter()
        .rev()
        .fold(0, |sum, &b| sum << 8 | u32::from(b));
    if masked(crc32c::crc32c(checked)) != stored {
        return Err(ReadError::malformed(
            place,
            "its checksum (crc32c) is wrong",
        ));
    }
    let (content, compression) = checked.split_at(handle.size);
    match compression {
        [0] => Ok(Cow::Borrowed(content)),
        [1] => {
            let snappy = |error| ReadError::malformed(place, error);
            let size = snap::raw::decompress_len(content).map_err(snappy)?;
            budget.take(place, size as u64)?;
            let content = snap::raw::Decoder::new().decompress_vec(content);
            Ok(Cow::Owned(content.map_err(snappy)?))
        }
        other => Err(ReadError::malformed(
            place,
            format!("compression {other:?} is unknown"),
        )),
    }
}

/// Calls `visit` with each key and value of a block, in order.
fn entries(
    block: &[u8],
    place: &str,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let malformed = |problem: &str| ReadError::malformed(place, problem);
    let (rest, restarts) = block
        .split_last_chunk::<4>()
        .ok_or_else(|| malformed("too short for a block"))?;
    let mut rest = (u32::from_le_bytes(*restarts) as usize)
        .checked_mul(4)
        .and_then(|bytes| rest.get(..rest.len().checked_sub(bytes)?))
        .ok_or_else(|| malformed("more restarts than it can hold"))?;
    let mut key = Vec::new();
    while !rest.is_empty() {
        let mut number = || usize::try_from(decode_varint(&mut rest).ok()?).ok();
        let lengths = (number(), number(), number());
        let (Some(shared), Some(own), Some(value)) = lengths else {
            return Err(malformed("a broken entry"));
        };
        if shared > key.len() {
            return Err(malformed("a key shares more than there is"));
        }
        let (Some(own), after) = (rest.get(..own), rest.get(own..).unwrap_or_default()) else {
            return Err(malformed("a key reaches beyond the block"));
        };
        let Some(value) = after.get(..value) else {
            return Err(malformed("a value reaches beyond the block"));
        };
        key.truncate(shared);
        key.extend_from_slice(own);
        visit(&key, value)?;
        rest = &after[value.len()..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::readers::ReadLimits;

    /// A table of one block.
    fn table(compression: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let add = |bytes: &mut Vec<u8>, content: &[u8], compression: u8| {
            let start = bytes.len();
            bytes.extend(content);
            bytes.push(compression);
            let checksum = masked(crc32c::crc32c(&bytes[start..]));
            bytes.extend(checksum.to_le_bytes());
            [start as u8, content.len() as u8]
        };
        let data = add(&mut bytes, content, compression);
        let index = [&[0, 1, 2, b'z'], &data[..], &[0, 0, 0, 0, 1, 0, 0, 0]].concat();
        let index = add(&mut bytes, &index, 0);
        bytes.extend([0, 0]);
        bytes.extend(index);
        bytes.extend([0; 36]);
        bytes.extend(MAGIC);
        bytes
    }

    /// `abc` -> `1` and `abd` -> `23`. The second key shares its first two bytes with the first.
    const BLOCK: &[u8] = b"\x00\x03\x01abc1\x02\x01\x02d23\x00\x00\x00\x00\x01\x00\x00\x00";

    type Entry = (Vec<u8>, Vec<u8>);

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, ReadError> {
        let mut found = Vec::new();
        let mut budget = Budget::new(ReadLimits::default());
        for_each(bytes, &mut budget, |key, value, _| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn keys_are_put_together_and_snappy_blocks_opened() {
        let expected = [
            (b"abc".to_vec(), b"1".to_vec()),
            (b"abd".to_vec(), b"23".to_vec()),
        ];
        assert_eq!(read(&table(0, BLOCK)).unwrap(), expected);
        let snappy = snap::raw::Encoder::new().compress_vec(BLOCK).unwrap();
        assert_eq!(read(&table(1, &snappy)).unwrap(), expected);
        let error = read(&table(2, BLOCK)).unwrap_err().to_string();
        assert!(error.contains("compression [2] is unknown"), "{error}");
    }

    #[test]
    fn every_flipped_bit_of_a_block_is_found() {
        let bytes = table(0, BLOCK);
        for bit in 0..8 * (BLOCK.len() + TRAILER) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = read(&flipped).unwrap_err().to_string();
            assert!(error.contains("checksum"), "{bit}: {error}");
        }
    }
}
