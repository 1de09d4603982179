//! Gives one input to one reader. Shared by the fuzz targets and by the test that replays their
//! corpus. The crate is outside the workspace, because libFuzzer needs a nightly compiler and C++.
#![allow(unreachable_pub, reason = "a library, and a module of a test")]

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mobilenet_model::checkpoint::readers::{Folder, Source, read_integers};
use mobilenet_model::checkpoint::{Format, ReadLimits, integers_of};
use mobilenet_model::mapped_file::MappedFile;

/// Memory that a reader may allocate beyond four times the size of the file. It is less than the
/// default, so that the test notices a reader that does not ask its budget.
pub const LIMITS: ReadLimits = ReadLimits {
    file_bytes: 1 << 20,
    extra_bytes: 1 << 20,
};

/// The folder that contains a folder of seeds for each reader.
pub fn corpus() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), CORPUS].iter().collect()
}

/// Relative to the manifest of this crate, or of the crate whose test includes this file.
const CORPUS: &str = if cfg!(test) {
    "../../fuzz/corpus"
} else {
    "corpus"
};

/// The name of a format's fuzz target and of its folder of seeds.
pub fn target(format: Format) -> String {
    format.word().replace('-', "_")
}

/// The other files of a checkpoint, always the same.
struct Siblings;

impl Folder for Siblings {
    fn read(&self, name: &str, limit: u64) -> io::Result<MappedFile> {
        corpus().join("siblings").read(name, limit)
    }
}

/// Reads an input. Returns whether it could be read.
pub fn read(format: Format, bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    if format == Format::TensorFlowCheckpoint {
        repair_checksums(&mut bytes);
    }
    // Shared, as files are, so that values are read in place.
    let file = Arc::new(MappedFile::Copy(bytes.clone()));
    let source = Source {
        name: "file.index",
        bytes: &file,
        file: Some(&file),
        folder: &Siblings,
    };
    // Detecting the format must not panic either.
    let _ = Format::detect(&bytes);
    if format == Format::Tflite
        && let Ok(network) = read_integers(&bytes, LIMITS)
    {
        // The checks of a network of integers must not panic either.
        let [rows, columns, _] = network.input_shape;
        let _ = network.shapes([rows, columns]);
    }
    let Ok(file) = format.read_from(&source, LIMITS) else {
        return false;
    };
    if matches!(format, Format::Onnx | Format::Safetensors) {
        // Nor those of the same in other formats.
        let _ = integers_of(&file, [16, 16]);
    }
    true
}

/// Corrects the checksums of a table's blocks. Otherwise the reader would refuse every changed file
/// at once.
fn repair_checksums(bytes: &mut [u8]) {
    const FOOTER: usize = 48;
    let Some(mut at) = bytes.len().checked_sub(FOOTER) else {
        return;
    };
    repair_block(bytes, &mut at);
    let Some((start, size)) = repair_block(bytes, &mut at) else {
        return;
    };
    // An entry of the index, as TensorFlow writes it: three lengths, the key, and the handle of a
    // block. The first length is of bytes shared with the previous key, and the file leaves them
    // out. After all entries come one restart and the number of restarts.
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

/// Corrects the checksum of the block whose handle is at an offset. Returns the block's own offset
/// and size.
fn repair_block(bytes: &mut [u8], at: &mut usize) -> Option<(usize, usize)> {
    let (start, size) = (varint(bytes, at)?, varint(bytes, at)?);
    // After the content comes the type of compression. The checksum covers it as well.
    let end = start.checked_add(size)?.checked_add(1)?;
    let sum = crc32c::crc32c(bytes.get(start..end)?);
    let masked = sum.rotate_right(15).wrapping_add(0xa282_ead8);
    let stored = bytes.get_mut(end..end.checked_add(4)?)?;
    stored.copy_from_slice(&masked.to_le_bytes());
    Some((start, size))
}

/// Reads a number of up to 28 bits.
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
