//! Protobuf messages, read field by field without decoding them into structs. In a hostile file,
//! two bytes could become a struct of a hundred bytes.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::checkpoint::readers::ReadError;

/// One field of a message: its tag and value.
pub(super) enum Field<'a> {
    Varint(u32, u64),
    Bytes(u32, &'a [u8]),
    Fixed32(u32, [u8; 4]),
    Other,
}

/// Takes the next field off a message; `None` at its end.
pub(super) fn next_field<'a>(
    rest: &mut &'a [u8],
    place: &str,
) -> Result<Option<Field<'a>>, ReadError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let broken = |error| ReadError::malformed(place, error);
    let truncated = |_| ReadError::malformed(place, "a field reaches beyond its message");
    let (tag, wire_type) = decode_key(rest).map_err(broken)?;
    Ok(Some(match wire_type {
        WireType::Varint => Field::Varint(tag, decode_varint(rest).map_err(broken)?),
        WireType::LengthDelimited => {
            let length = decode_varint(rest).map_err(broken)?;
            let length = usize::try_from(length)
                .map_err(|_| ReadError::malformed(place, "a length overflows"))?;
            let bytes = rest.get(..length).ok_or_else(|| truncated(()))?;
            rest.advance(length);
            Field::Bytes(tag, bytes)
        }
        WireType::ThirtyTwoBit => {
            let bytes = *rest.first_chunk::<4>().ok_or_else(|| truncated(()))?;
            rest.advance(4);
            Field::Fixed32(tag, bytes)
        }
        _ => {
            skip_field(wire_type, tag, rest, DecodeContext::default()).map_err(broken)?;
            Field::Other
        }
    }))
}

pub(super) fn text<'a>(bytes: &'a [u8], place: &str) -> Result<&'a str, ReadError> {
    std::str::from_utf8(bytes).map_err(|error| ReadError::malformed(place, error))
}

/// The values of a repeated integer field, which may be packed or not.
pub(super) fn push_integers(
    field: &Field<'_>,
    values: &mut Vec<i64>,
    place: &str,
) -> Result<(), ReadError> {
    match *field {
        Field::Varint(_, value) => values.push(value as i64),
        Field::Bytes(_, mut packed) => {
            while !packed.is_empty() {
                let value = decode_varint(&mut packed);
                values.push(value.map_err(|error| ReadError::malformed(place, error))? as i64);
            }
        }
        Field::Fixed32(..) | Field::Other => {
            return Err(ReadError::malformed(place, "expected integers"));
        }
    }
    Ok(())
}
