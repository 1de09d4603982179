//! Datatypes (the type of a value) and dataspaces (the shape).

use super::cursor::{Cursor, Result, malformed};
use crate::array::Dtype;

/// The types that parameters and their descriptions have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Datatype {
    /// Little-endian floating point.
    Float(Dtype),
    /// Text of a fixed number of bytes, padded with zeros or spaces.
    FixedText,
    /// Text of any length, stored in the global heap.
    Text,
    /// Anything else.
    Other(String),
}

/// A datatype, and the bytes of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sized {
    pub(super) datatype: Datatype,
    pub(super) size: usize,
}

pub(super) fn datatype(body: &[u8]) -> Result<Sized> {
    let mut cursor = Cursor::new(body, "HDF5 datatype");
    let class = cursor.u8()? & 0x0f;
    let bits: [u8; 3] = cursor.array()?;
    let size = cursor.u32()? as usize;
    let datatype = match class {
        1 => {
            // Bit offset, precision, position of the exponent; then its size.
            cursor.take(5)?;
            let exponent = cursor.u8()?;
            let little = bits[0] & 0x41 == 0;
            let dtype = match (little, size, exponent) {
                (true, 8, 11) => Some(Dtype::F64),
                (true, 4, 8) => Some(Dtype::F32),
                (true, 2, 5) => Some(Dtype::F16),
                (true, 2, 8) => Some(Dtype::BF16),
                _ => None,
            };
            dtype.map_or_else(
                || Datatype::Other(format!("float of {size} bytes, or big-endian")),
                Datatype::Float,
            )
        }
        3 => Datatype::FixedText,
        9 if bits[0] & 0x0f == 1 => Datatype::Text,
        0 => Datatype::Other(format!("integer of {size} bytes")),
        other => Datatype::Other(format!("HDF5 class {other}")),
    };
    Ok(Sized { datatype, size })
}

/// Shape of a dataspace. A single value has no axes.
pub(super) fn dataspace(body: &[u8]) -> Result<Vec<usize>> {
    let place = "HDF5 dataspace";
    let mut cursor = Cursor::new(body, place);
    let (version, rank, _flags) = (cursor.u8()?, cursor.u8()?, cursor.u8()?);
    cursor.take(match version {
        1 => 5,
        2 => 1,
        other => return Err(malformed(place, format!("unknown version {other}"))),
    })?;
    (0..rank)
        .map(|_| usize::try_from(cursor.u64()?).map_err(|error| malformed(place, error)))
        .collect()
}
