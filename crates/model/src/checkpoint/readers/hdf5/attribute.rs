//! Attributes that hold text or a list of texts. Keras uses no others.

use super::cursor::{Cursor, Result, malformed, text};
use super::datatype::{Datatype, dataspace, datatype};
use super::file::{File, STEP, UNDEFINED};
use super::object::{Object, kind};
use crate::checkpoint::readers::{Budget, volume};

/// An attribute that is not decoded yet.
struct Attribute<'a> {
    name: &'a str,
    datatype: &'a [u8],
    dataspace: &'a [u8],
    value: &'a [u8],
}

impl<'a> Object<'a> {
    /// The texts of an attribute, or `None` if the object has no such attribute.
    pub(in super::super) fn texts(
        &self,
        name: &str,
        budget: &mut Budget,
    ) -> Result<Option<Vec<&'a str>>> {
        for body in self.messages(kind::ATTRIBUTE) {
            budget.take("HDF5 attributes", STEP)?;
            let attribute = parse(body)?;
            if attribute.name == name {
                return texts(&self.file, &attribute, budget).map(Some);
            }
        }
        if let Some(body) = self.message(kind::ATTRIBUTE_INFO) {
            let mut cursor = Cursor::new(body, "HDF5 attribute info");
            cursor.take(1)?;
            let order = cursor.u8()? & 1;
            cursor.take(2 * usize::from(order))?;
            if cursor.u64()? != UNDEFINED {
                let problem = "its attributes are stored densely (libver=\"latest\"), which is not \
                               supported";
                return Err(malformed(&self.path, problem));
            }
        }
        Ok(None)
    }
}

fn parse(body: &[u8]) -> Result<Attribute<'_>> {
    let place = "HDF5 attribute";
    let mut cursor = Cursor::new(body, place);
    let (version, flags) = (cursor.u8()?, cursor.u8()?);
    let sizes = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
    match version {
        1 => {}
        2 | 3 if flags == 0 => drop(cursor.take(usize::from(version - 2))?),
        2 | 3 => return Err(malformed(place, "shared datatypes are not supported")),
        other => return Err(malformed(place, format!("unknown version {other}"))),
    }
    let mut part = |size: usize| {
        let padding = match version {
            1 => size.next_multiple_of(8) - size,
            _ => 0,
        };
        let bytes = cursor.take(size)?;
        cursor.take(padding)?;
        Ok(bytes)
    };
    let [name, datatype, dataspace] = [part(sizes[0])?, part(sizes[1])?, part(sizes[2])?];
    Ok(Attribute {
        name: text(name, place)?,
        datatype,
        dataspace,
        value: cursor.rest,
    })
}

fn texts<'a>(
    file: &File<'a>,
    attribute: &Attribute<'a>,
    budget: &mut Budget,
) -> Result<Vec<&'a str>> {
    let Attribute { name, value, .. } = *attribute;
    let place = || format!("HDF5 attribute {name}");
    let sized = datatype(attribute.datatype)?;
    let count = volume(name, &dataspace(attribute.dataspace)?)?;
    let found = match sized.datatype {
        // An empty list can have any datatype.
        _ if count == 0 => return Ok(Vec::new()),
        Datatype::FixedText | Datatype::Text if sized.size > 0 => value.len() / sized.size,
        _ => return Err(malformed(place(), "expected text")),
    };
    if found < count {
        return Err(malformed(place(), format!("{found} values of {count}")));
    }
    budget.take(name, STEP.saturating_mul(count as u64))?;
    value
        .chunks_exact(sized.size)
        .take(count)
        .map(|bytes| match sized.datatype {
            Datatype::FixedText => text(bytes, name).map(|text| text.trim_end_matches(' ')),
            _ => heap_text(file, bytes, budget),
        })
        .collect()
}

/// The text in the global heap to which `value` points: length, address, index.
fn heap_text<'a>(file: &File<'a>, value: &'a [u8], budget: &mut Budget) -> Result<&'a str> {
    let place = "HDF5 global heap";
    let mut value = Cursor::new(value, place);
    let (length, address, index) = (value.u32()?, value.u64()?, value.u32()?);
    if length == 0 {
        return Ok("");
    }
    let mut cursor = file.at(address, place)?;
    cursor.expect(b"GCOL")?;
    cursor.take(4)?;
    let size = cursor.u64()?;
    // The size includes the 16 bytes read so far.
    let mut objects = Cursor::new(cursor.take_u64(size.saturating_sub(16))?, place);
    loop {
        budget.take(place, STEP)?;
        let found = objects.u16()?;
        objects.take(6)?;
        let size = objects.u64()?;
        if found == 0 {
            return Err(malformed(place, format!("no object {index}")));
        }
        let bytes = objects.take_u64(size)?;
        if u32::from(found) == index {
            let mut bytes = Cursor::new(bytes, place);
            return text(bytes.take_u64(length.into())?, place);
        }
        let padding = bytes.len().next_multiple_of(8) - bytes.len();
        objects.take(padding)?;
    }
}
