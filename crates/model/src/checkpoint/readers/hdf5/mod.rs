//! HDF5, as far as h5py writes it by default: groups by symbol tables or compact links, attributes
//! in object headers, contiguous, compact and chunked datasets. What is beyond (dense groups of
//! `libver="latest"`, external files, references) is refused by name.
//!
//! ```text
//! superblock -> address of the root object
//! object     -> header messages (may continue elsewhere)        object.rs
//!   group    -> B-tree -> symbol nodes -> names in a local heap  group.rs
//!   attribute-> dataspace, datatype, value; strings in the global heap  attribute.rs
//!   dataset  -> dataspace, datatype, layout, filters             dataset.rs, chunks.rs
//! ```
//!
//! Everything is an address into the file, so a file can send a reader round in circles or make it
//! read the same bytes again and again. Each step therefore costs some of the memory budget, which
//! bounds the work as well.

mod attribute;
mod chunks;
mod dataset;
mod datatype;
mod group;
mod object;

pub(super) use object::Object;

use super::Budget;
use crate::checkpoint::readers::ReadError;

/// The first bytes of every file without a user block.
pub(super) const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The address that means "nowhere".
const UNDEFINED: u64 = u64::MAX;

/// What a step that follows an address costs of the budget.
const STEP: u64 = 16;

type Result<T> = std::result::Result<T, ReadError>;

fn malformed(place: impl Into<String>, problem: impl ToString) -> ReadError {
    ReadError::malformed(place, problem)
}

/// A file and where its objects begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    bytes: &'a [u8],
    root: u64,
}

impl<'a> File<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let place = "HDF5 superblock";
        let mut cursor = Cursor::new(bytes, place);
        if cursor.take(8)? != SIGNATURE {
            return Err(malformed(place, "no HDF5 signature"));
        }
        let version = cursor.u8()?;
        let sizes = match version {
            0 | 1 => {
                cursor.take(4)?;
                let sizes = [cursor.u8()?, cursor.u8()?];
                // Reserved, ranks of B-trees, flags; and of version 1, one more rank.
                cursor.take(if version == 0 { 9 } else { 13 })?;
                sizes
            }
            2 | 3 => {
                let sizes = [cursor.u8()?, cursor.u8()?];
                cursor.take(1)?;
                sizes
            }
            other => return Err(malformed(place, format!("unknown version {other}"))),
        };
        if sizes != [8, 8] {
            let problem = format!("addresses and lengths of {sizes:?} bytes, only 8 are supported");
            return Err(malformed(place, problem));
        }
        if cursor.u64()? != 0 {
            return Err(malformed(place, "a base address is not supported"));
        }
        // Free space or superblock extension, and end of file; version 0 has a driver as well, and
        // then the root's symbol table entry: name, then header.
        cursor.take(if version < 2 { 8 * 4 } else { 8 * 2 })?;
        let root = cursor.u64()?;
        Ok(Self { bytes, root })
    }

    pub(super) fn root(&self, budget: &mut Budget) -> Result<Object<'a>> {
        Object::read(self, self.root, "root", budget)
    }

    /// The bytes from an address on.
    fn at(&self, address: u64, place: &'a str) -> Result<Cursor<'a>> {
        usize::try_from(address)
            .ok()
            .and_then(|start| self.bytes.get(start..))
            .map(|rest| Cursor::new(rest, place))
            .ok_or_else(|| malformed(place, format!("address {address} is beyond the file")))
    }

    /// `length` bytes from an address on.
    fn slice(&self, address: u64, length: u64, place: &'a str) -> Result<&'a [u8]> {
        self.at(address, place)?.take_u64(length)
    }
}

/// Little-endian numbers, one after the other.
#[derive(Debug, Clone)]
struct Cursor<'a> {
    rest: &'a [u8],
    place: &'a str,
}

impl<'a> Cursor<'a> {
    fn new(rest: &'a [u8], place: &'a str) -> Self {
        Self { rest, place }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| malformed(self.place, "it reaches beyond its end"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_u64(&mut self, count: u64) -> Result<&'a [u8]> {
        let count = usize::try_from(count).map_err(|error| malformed(self.place, error))?;
        self.take(count)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| malformed(self.place, "it reaches beyond its end"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn expect(&mut self, signature: &[u8; 4]) -> Result<()> {
        if &self.array::<4>()? == signature {
            return Ok(());
        }
        let name = String::from_utf8_lossy(signature);
        Err(malformed(
            self.place,
            format!("no {name} where one belongs"),
        ))
    }
}

/// Text up to the first zero.
fn text<'a>(bytes: &'a [u8], place: &str) -> Result<&'a str> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).map_err(|error| malformed(place, error))
}
