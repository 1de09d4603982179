//! The framing of TFRecord and of event files: length and bytes, each with a masked CRC-32C.

use mobilenet_data::checksum::masked_crc32c;

/// Appends a record: its length as u64, the length's checksum, the bytes, their checksum; all
/// little-endian.
pub(super) fn push_record(file: &mut Vec<u8>, bytes: &[u8]) {
    let length = (bytes.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_crc32c(&length).to_le_bytes());
    file.extend(bytes);
    file.extend(masked_crc32c(bytes).to_le_bytes());
}
