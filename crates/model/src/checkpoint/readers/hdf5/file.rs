//! The superblock at the start of every file, and access to bytes by address.

use super::cursor::{Cursor, Result, malformed};

/// The first bytes of a file without a user block.
pub(in super::super) const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The address that stands for "none".
pub(super) const UNDEFINED: u64 = u64::MAX;

/// Budget for following one address. It bounds time rather than memory: the default budget allows a
/// million such steps, which take a tenth of a second.
pub(super) const STEP: u64 = 64;

/// The bytes of a file, and the address of its root.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    bytes: &'a [u8],
    /// Address of the root object.
    pub(super) root: u64,
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
                // Reserved, ranks of B-trees, flags. Version 1 has one more rank.
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
        // Free space or superblock extension, and end of file. Version 0 also has the driver, and
        // then the root's symbol table entry: name, header.
        cursor.take(if version < 2 { 8 * 4 } else { 8 * 2 })?;
        let root = cursor.u64()?;
        Ok(Self { bytes, root })
    }

    /// A cursor at an address.
    pub(super) fn at(&self, address: u64, place: &'a str) -> Result<Cursor<'a>> {
        usize::try_from(address)
            .ok()
            .and_then(|start| self.bytes.get(start..))
            .map(|rest| Cursor::new(rest, place))
            .ok_or_else(|| malformed(place, format!("address {address} is beyond the file")))
    }

    /// `length` bytes at an address.
    pub(super) fn slice(&self, address: u64, length: u64, place: &'a str) -> Result<&'a [u8]> {
        self.at(address, place)?.take_u64(length)
    }
}
