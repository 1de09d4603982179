//! Object headers: the messages that describe a group or a dataset.

use super::cursor::{Cursor, Result, malformed};
use super::file::{File, STEP};
use crate::checkpoint::readers::Budget;

/// Numbers of the messages that we read.
pub(super) mod kind {
    pub(in super::super) const DATASPACE: u16 = 0x01;
    pub(in super::super) const LINK_INFO: u16 = 0x02;
    pub(in super::super) const DATATYPE: u16 = 0x03;
    pub(in super::super) const LINK: u16 = 0x06;
    pub(in super::super) const EXTERNAL: u16 = 0x07;
    pub(in super::super) const LAYOUT: u16 = 0x08;
    pub(in super::super) const FILTERS: u16 = 0x0b;
    pub(in super::super) const ATTRIBUTE: u16 = 0x0c;
    pub(in super::super) const CONTINUATION: u16 = 0x10;
    pub(in super::super) const SYMBOL_TABLE: u16 = 0x11;
    pub(in super::super) const ATTRIBUTE_INFO: u16 = 0x15;
}

/// Far more blocks than any object of h5py has.
const MOST_BLOCKS: usize = 256;

/// A group or a dataset.
#[derive(Debug)]
pub(in super::super) struct Object<'a> {
    pub(super) file: File<'a>,
    /// Its path, for messages.
    pub(super) path: String,
    messages: Vec<(u16, &'a [u8])>,
}

/// Version of the object header, which determines the header of its messages.
#[derive(Clone, Copy)]
enum Header {
    One,
    Two { creation_order: bool },
}

impl<'a> Object<'a> {
    pub(super) fn read(
        file: &File<'a>,
        address: u64,
        path: &str,
        budget: &mut Budget,
    ) -> Result<Self> {
        let place = "HDF5 object header";
        let at = |problem: &str| malformed(format!("{place} of {path}"), problem);
        let mut cursor = file.at(address, place)?;
        let (header, first) = if cursor.rest.starts_with(b"OHDR") {
            cursor.take(4)?;
            if cursor.u8()? != 2 {
                return Err(at("unknown version"));
            }
            let flags = cursor.u8()?;
            let times = if flags & 0x20 != 0 { 16 } else { 0 };
            let limits = if flags & 0x10 != 0 { 4 } else { 0 };
            cursor.take(times + limits)?;
            let size = match flags & 3 {
                0 => u64::from(cursor.u8()?),
                1 => u64::from(cursor.u16()?),
                2 => u64::from(cursor.u32()?),
                _ => cursor.u64()?,
            };
            let creation_order = flags & 4 != 0;
            (Header::Two { creation_order }, cursor.take_u64(size)?)
        } else {
            if cursor.u8()? != 1 {
                return Err(at("unknown version"));
            }
            // Reserved, number of messages, references. The size that follows is padded to 8 bytes.
            cursor.take(7)?;
            let size = cursor.u32()?;
            cursor.take(4)?;
            (Header::One, cursor.take_u64(size.into())?)
        };
        let mut object = Self {
            file: *file,
            path: path.to_string(),
            messages: Vec::new(),
        };
        let mut blocks = vec![first];
        let mut done = 0;
        while let Some(&block) = blocks.get(done) {
            done += 1;
            if done > MOST_BLOCKS {
                return Err(at("its continuations do not end"));
            }
            budget.take(place, block.len() as u64)?;
            for message in Messages::new(block, header, place) {
                let (kind, body) = message?;
                if kind == kind::CONTINUATION {
                    let mut cursor = Cursor::new(body, place);
                    let (address, length) = (cursor.u64()?, cursor.u64()?);
                    let mut block = file.slice(address, length, place)?;
                    if matches!(header, Header::Two { .. }) {
                        // A signature precedes the messages, a checksum follows them.
                        let mut cursor = Cursor::new(block, place);
                        cursor.expect(b"OCHK")?;
                        block = cursor.take(cursor.rest.len().saturating_sub(4))?;
                    }
                    blocks.push(block);
                } else {
                    budget.take(place, 2 * STEP)?;
                    object.messages.push((kind, body));
                }
            }
        }
        Ok(object)
    }

    /// The bodies of all messages of a kind.
    pub(super) fn messages(&self, wanted: u16) -> impl Iterator<Item = &'a [u8]> {
        self.messages
            .iter()
            .filter(move |(kind, _)| *kind == wanted)
            .map(|&(_, body)| body)
    }

    pub(super) fn message(&self, wanted: u16) -> Option<&'a [u8]> {
        self.messages(wanted).next()
    }

    /// Whether it is a dataset rather than a group.
    pub(in super::super) fn is_dataset(&self) -> bool {
        self.message(kind::LAYOUT).is_some()
    }
}

struct Messages<'a> {
    cursor: Cursor<'a>,
    header: Header,
}

impl<'a> Messages<'a> {
    fn new(block: &'a [u8], header: Header, place: &'a str) -> Self {
        Self {
            cursor: Cursor::new(block, place),
            header,
        }
    }

    fn message(&mut self) -> Result<(u16, &'a [u8])> {
        let cursor = &mut self.cursor;
        let (kind, size) = match self.header {
            Header::One => {
                let (kind, size) = (cursor.u16()?, cursor.u16()?);
                cursor.take(4)?;
                (kind, size)
            }
            Header::Two { creation_order } => {
                let (kind, size) = (u16::from(cursor.u8()?), cursor.u16()?);
                cursor.take(if creation_order { 3 } else { 1 })?;
                (kind, size)
            }
        };
        Ok((kind, cursor.take(size.into())?))
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        // A rest that is too small for a message is a gap.
        let least = match self.header {
            Header::One => 8,
            Header::Two { creation_order } => 4 + 2 * usize::from(creation_order),
        };
        if self.cursor.rest.len() < least {
            return None;
        }
        let message = self.message();
        if message.is_err() {
            self.cursor.rest = &[];
        }
        Some(message)
    }
}
