//! Decodes a file to an upright RGB photo, within limits.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use super::error::PhotoError;

/// An RGB image with 8 bits per channel.
pub type Photo = RgbImage;

/// Limits of decoding, which hold whatever the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of the decoded image.
    pub image_bytes: u64,
}

impl Default for DecodeLimits {
    /// 64 MiB of file and 512 MiB of image, enough for a photo of 100 megapixels.
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            image_bytes: 512 << 20,
        }
    }
}

/// Reads and decodes a photo: JPEG, PNG, BMP, WebP or GIF (its first frame), recognised by content.
/// It is turned upright by its EXIF orientation. Grey, transparent and 16-bit images become RGB
/// with 8 bits per channel. Transparency is dropped, as in Pillow and TensorFlow.
///
/// # Errors
/// If the file cannot be read, is not an image, is broken, or exceeds the limits.
pub fn open(path: &Path, limits: DecodeLimits) -> Result<Photo, PhotoError> {
    let read = |source| PhotoError::Read {
        path: path.to_path_buf(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limits.file_bytes + 1).read_to_end(&mut bytes))
        .map_err(read)?;
    if bytes.len() as u64 > limits.file_bytes {
        return Err(read(std::io::Error::other(format!(
            "the file is larger than the limit of {} bytes",
            limits.file_bytes
        ))));
    }
    decode(&path.display().to_string(), &bytes, limits)
}

/// [`open`] for bytes in memory. `name` is used in messages.
///
/// # Errors
/// As [`open`].
pub fn decode(name: &str, bytes: &[u8], limits: DecodeLimits) -> Result<Photo, PhotoError> {
    let broken = |source| PhotoError::Decode {
        name: name.to_string(),
        source,
    };
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| broken(image::ImageError::IoError(error)))?;
    if reader.format().is_none() {
        return Err(PhotoError::NotAnImage {
            name: name.to_string(),
            start: String::from_utf8_lossy(&bytes[..bytes.len().min(12)])
                .escape_debug()
                .to_string(),
        });
    }
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let needed = decoder.total_bytes();
    if needed > limits.image_bytes {
        return Err(PhotoError::TooLarge {
            name: name.to_string(),
            width,
            height,
            needed,
            limit: limits.image_bytes,
        });
    }
    // A broken orientation tag is ignored: the photo is still usable.
    let orientation = decoder
        .orientation()
        .unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut codec = Limits::default();
    codec.max_alloc = Some(limits.image_bytes);
    decoder.set_limits(codec).map_err(broken)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}
