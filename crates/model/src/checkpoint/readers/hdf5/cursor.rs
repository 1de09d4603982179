//! Reads little-endian numbers and text from the bytes of a file.

use crate::checkpoint::readers::ReadError;

pub(super) type Result<T> = std::result::Result<T, ReadError>;

pub(super) fn malformed(place: impl Into<String>, problem: impl ToString) -> ReadError {
    ReadError::malformed(place, problem)
}

/// Reads one number after the other.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
    place: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8], place: &'a str) -> Self {
        Self { rest, place }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| malformed(self.place, "it reaches beyond its end"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn take_u64(&mut self, count: u64) -> Result<&'a [u8]> {
        let count = usize::try_from(count).map_err(|error| malformed(self.place, error))?;
        self.take(count)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| malformed(self.place, "it reaches beyond its end"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn expect(&mut self, signature: &[u8; 4]) -> Result<()> {
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

/// Text up to the first zero byte.
pub(super) fn text<'a>(bytes: &'a [u8], place: &str) -> Result<&'a str> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).map_err(|error| malformed(place, error))
}
