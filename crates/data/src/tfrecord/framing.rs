//! TFRecord's framing: length (u64), its checksum (u32), the record, its checksum (u32), all
//! little-endian. Checksums are masked CRC-32C.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::DataError;
use crate::checksum::masked_crc32c;

/// Bytes before a record: its length and the length's checksum.
const HEADER: u64 = 12;

/// Reads the records of a file from its start.
pub(super) struct Records<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Longest record that is read.
    limit: u64,
    offset: u64,
    count: usize,
}

impl<'a> Records<'a> {
    pub(super) fn open(path: &'a Path, limit: u64) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        Ok(Self {
            path,
            file: BufReader::with_capacity(1 << 18, file),
            limit,
            offset: 0,
            count: 0,
        })
    }

    /// Reads the next record into `record`, and returns its offset. `None` at the end of the file.
    pub(super) fn next_into(&mut self, record: &mut Vec<u8>) -> Result<Option<u64>, DataError> {
        let location = || location(self.path, self.count, self.offset);
        let mut header = Vec::new();
        let mut read = |bytes: &mut Vec<u8>, length: u64| {
            bytes.clear();
            (&mut self.file)
                .take(length)
                .read_to_end(bytes)
                .map_err(DataError::read(self.path))
        };
        if read(&mut header, HEADER)? == 0 {
            return Ok(None);
        }
        let (Some(length), Some(check)) = (header.first_chunk::<8>(), header.get(8..12)) else {
            let found = format!("{} bytes", header.len());
            return Err(DataError::malformed(
                location(),
                "a header of 12 bytes",
                found,
            ));
        };
        verify(length, check, || format!("{}, its length", location()))?;
        let length = u64::from_le_bytes(*length);
        if length > self.limit {
            return Err(DataError::TooLarge {
                location: location(),
                needed: length,
                limit: self.limit,
            });
        }
        read(record, length + 4)?;
        split_checksum(record, length as usize, location)?;
        let start = self.offset + HEADER;
        self.offset = start + length + 4;
        self.count += 1;
        Ok(Some(start))
    }
}

/// Reads one record at a known offset.
pub(super) fn read_at(path: &Path, start: u64, length: u32) -> Result<Vec<u8>, DataError> {
    let mut record = Vec::new();
    File::open(path)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(u64::from(length) + 4).read_to_end(&mut record)
        })
        .map_err(DataError::read(path))?;
    let location = || format!("{}, record at byte {start}", path.display());
    split_checksum(&mut record, length as usize, location)?;
    Ok(record)
}

fn location(path: &Path, count: usize, offset: u64) -> String {
    format!("{}, record {count} at byte {offset}", path.display())
}

/// Removes the checksum at a record's end, and verifies it.
fn split_checksum(
    record: &mut Vec<u8>,
    length: usize,
    location: impl Fn() -> String,
) -> Result<(), DataError> {
    let Some((bytes, check)) = record
        .split_at_checked(length)
        .filter(|(_, check)| check.len() == 4)
    else {
        let expected = format!("{length} bytes and a checksum of 4");
        let found = format!("{} bytes", record.len());
        return Err(DataError::malformed(location(), expected, found));
    };
    verify(bytes, check, location)?;
    record.truncate(length);
    Ok(())
}

fn verify(bytes: &[u8], check: &[u8], location: impl Fn() -> String) -> Result<(), DataError> {
    let expected = masked_crc32c(bytes);
    if check == expected.to_le_bytes() {
        return Ok(());
    }
    let found = check.iter().rev().map(|byte| format!("{byte:02x}"));
    Err(DataError::malformed(
        location(),
        format!("checksum {expected:08x}"),
        found.collect::<String>(),
    ))
}
