//! What fuzz targets and the test that replays their corpus share: one input through one reader.
//! The crate is outside the workspace, as libFuzzer needs a nightly compiler and C++.
#![allow(unreachable_pub, reason = "a library, and a module of a test")]

use std::io;
use std::path::PathBuf;

use mobilenet_model::checkpoint::readers::{Folder, Source};
use mobilenet_model::checkpoint::{Format, ReadLimits};

/// What a file may make a reader allocate beyond four times its size. Less than the default, so
/// that a reader that does not ask its budget is noticed.
pub const LIMITS: ReadLimits = ReadLimits {
    file_bytes: 1 << 20,
    extra_bytes: 1 << 20,
};

/// Seeds of a reader are in a folder below.
pub fn corpus() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), CORPUS].iter().collect()
}

/// From the manifest of this crate, or of that whose test includes this file.
const CORPUS: &str = if cfg!(test) {
    "../../fuzz/corpus"
} else {
    "corpus"
};

/// The folder of a format's seeds, and the name of its target.
pub fn target(format: Format) -> String {
    format.word().replace('-', "_")
}

/// The other files of a checkpoint, always the same.
struct Siblings;

impl Folder for Siblings {
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        corpus().join("siblings").read(name, limit)
    }
}

/// Reads an input; the result does not matter, as long as there is one.
pub fn read(format: Format, bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    if format == Format::TensorFlowCheckpoint {
        repair_checksums(&mut bytes);
    }
    let source = Source {
        name: "file.index",
        bytes: &bytes,
        folder: &Siblings,
    };
    // What a file looks like is asked of any bytes.
    let _ = Format::detect(&bytes);
    format.read_from(&source, LIMITS).is_ok()
}

/// Makes the checksums of a table's blocks right again, behind which no mutation would come far.
fn repair_checksums(bytes: &mut [u8]) {
    const FOOTER: usize = 48;
    let Some(mut at) = bytes.len().checked_sub(FOOTER) else {
        return;
    };
    repair_block(bytes, &mut at);
    let Some((start, size)) = repair_block(bytes, &mut at) else {
        return;
    };
    // The index: three lengths, of which the first is of bytes that are not there, key, handle;
    // and behind all entries one restart and the number of restarts, as TensorFlow writes it.
    let mut at = start;
    while at + 8 < start + size {
        let lengths = (
            varint(bytes, &mut at),
            varint(bytes, &mut at),
            varint(bytes, &mut at),
        );
        let (Some(_), Some(key), Some(value)) = lengths else {
            return;
        };
        let mut handle = at.saturating_add(key);
        repair_block(bytes, &mut handle);
        at = at.saturating_add(key).saturating_add(value);
    }
}

/// Repairs the block whose handle is at an offset; gives the block's own offset and size.
fn repair_block(bytes: &mut [u8], at: &mut usize) -> Option<(usize, usize)> {
    let (start, size) = (varint(bytes, at)?, varint(bytes, at)?);
    // Behind the content: its compression, which the checksum covers as well.
    let end = start.checked_add(size)?.checked_add(1)?;
    let sum = crc32c::crc32c(bytes.get(start..end)?);
    let masked = sum.rotate_right(15).wrapping_add(0xa282_ead8);
    let stored = bytes.get_mut(end..end.checked_add(4)?)?;
    stored.copy_from_slice(&masked.to_le_bytes());
    Some((start, size))
}

/// A number of up to 28 bits.
fn varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut number = 0;
    for shift in (0..28).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
