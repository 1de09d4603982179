//! TensorFlow's checksum of records, in TFRecord and in event files.

/// CRC-32C, rotated and offset, because the plain CRC of data that contains CRCs is weak.
pub fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}
