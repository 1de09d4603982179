//! Bytes -> an upright RGB photo, every pixel of it, within limits.

use std::path::Path;

use super::encoded::{DecodeLimits, DecodeOptions, EncodedPhoto, Photo};
use super::error::PhotoError;

/// Reads and decodes a photo: JPEG, PNG, BMP, WebP, GIF (its first frame), TIFF or PNM, recognised
/// by content. Turned upright by its EXIF orientation; grey, transparent and 16-bit images become
/// RGB of 8 bits (transparency is dropped, as Pillow and TensorFlow do).
///
/// # Errors
/// Where the file cannot be read, is no image, is broken or cut off, or exceeds the limits.
pub fn open(path: &Path, limits: DecodeLimits) -> Result<Photo, PhotoError> {
    whole(EncodedPhoto::open(path, limits)?, limits)
}

/// [`open`] for bytes in memory. `name` is used in messages.
///
/// # Errors
/// As [`open`].
pub fn decode(name: &str, bytes: &[u8], limits: DecodeLimits) -> Result<Photo, PhotoError> {
    whole(EncodedPhoto::new(name, bytes)?, limits)
}

fn whole(photo: EncodedPhoto<'_>, limits: DecodeLimits) -> Result<Photo, PhotoError> {
    let options = DecodeOptions {
        limits,
        ..DecodeOptions::default()
    };
    Ok(photo.decode(options)?.photo)
}
