//! The parts of a `tf.train.Example` that we need.
//!
//! ```text
//! Example   { Features features = 1 }
//! Features  { map<string, Feature> feature = 1 }
//! Feature   { BytesList bytes_list = 1, FloatList float_list = 2, Int64List int64_list = 3 }
//! BytesList { repeated bytes value = 1 }
//! Int64List { repeated int64 value = 1 }
//! ```
//!
//! Messages are read without decoding them into structs. In a hostile file, two bytes could become
//! a struct of a hundred bytes.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// A photo with its label, as stored in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Example<'a> {
    /// `image/encoded`.
    pub(super) encoded: &'a [u8],
    /// `image/class/label`.
    pub(super) label: i64,
    /// `image/class/text`.
    pub(super) text: Option<&'a str>,
}

impl<'a> Example<'a> {
    /// Parses a record. The error says what is missing or broken.
    pub(super) fn parse(record: &'a [u8]) -> Result<Self, String> {
        let (mut encoded, mut label, mut text) = (None, None, None);
        for_each(record, 1, |features| {
            for_each(features, 1, |entry| {
                let (mut key, mut feature) = (&b""[..], &b""[..]);
                for_each(entry, 1, |bytes| {
                    key = bytes;
                    Ok(())
                })?;
                for_each(entry, 2, |bytes| {
                    feature = bytes;
                    Ok(())
                })?;
                match key {
                    b"image/encoded" => encoded = first_bytes(feature)?,
                    b"image/class/label" => label = first_int64(feature)?,
                    b"image/class/text" => text = first_bytes(feature)?,
                    _ => {}
                }
                Ok(())
            })
        })?;
        Ok(Self {
            encoded: encoded.ok_or("no bytes in image/encoded")?,
            label: label.ok_or("no int64 in image/class/label")?,
            text: text.and_then(|text| std::str::from_utf8(text).ok()),
        })
    }
}

fn first_bytes(feature: &[u8]) -> Result<Option<&[u8]>, String> {
    let mut first = None;
    for_each(feature, 1, |list| {
        for_each(list, 1, |bytes| {
            first.get_or_insert(bytes);
            Ok(())
        })
    })?;
    Ok(first)
}

/// The first value of a list. Writers pack values into one field, but unpacked ones are valid too.
fn first_int64(feature: &[u8]) -> Result<Option<i64>, String> {
    let mut first = None;
    for_each(feature, 3, |mut list| {
        while let Some((tag, value)) = next_field(&mut list)? {
            let number = match value {
                Value::Bytes(mut packed) if tag == 1 && !packed.is_empty() => {
                    decode_varint(&mut packed).map_err(|error| error.to_string())?
                }
                Value::Varint(number) if tag == 1 => number,
                _ => continue,
            };
            first.get_or_insert(number as i64);
        }
        Ok(())
    })?;
    Ok(first)
}

enum Value<'a> {
    Bytes(&'a [u8]),
    Varint(u64),
    Other,
}

/// Visits the byte fields with one tag.
fn for_each<'a>(
    mut message: &'a [u8],
    wanted: u32,
    mut visit: impl FnMut(&'a [u8]) -> Result<(), String>,
) -> Result<(), String> {
    while let Some((tag, value)) = next_field(&mut message)? {
        if let Value::Bytes(bytes) = value
            && tag == wanted
        {
            visit(bytes)?;
        }
    }
    Ok(())
}

/// Takes the next field off a message; `None` at its end.
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Option<(u32, Value<'a>)>, String> {
    if rest.is_empty() {
        return Ok(None);
    }
    let broken = |error: prost::DecodeError| error.to_string();
    let (tag, wire_type) = decode_key(rest).map_err(broken)?;
    let value = match wire_type {
        WireType::LengthDelimited => {
            let length = decode_varint(rest).map_err(broken)?;
            let bytes = usize::try_from(length)
                .ok()
                .and_then(|length| rest.get(..length))
                .ok_or("a field reaches beyond its message")?;
            rest.advance(bytes.len());
            Value::Bytes(bytes)
        }
        WireType::Varint => Value::Varint(decode_varint(rest).map_err(broken)?),
        _ => {
            skip_field(wire_type, tag, rest, DecodeContext::default()).map_err(broken)?;
            Value::Other
        }
    };
    Ok(Some((tag, value)))
}
