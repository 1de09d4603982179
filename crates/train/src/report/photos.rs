//! Photos of the report as small PNG images inside the page.

use std::borrow::Cow;
use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};

use crate::error::TrainError;

/// Longest side of a small picture, in pixels.
pub(super) const SMALL: u32 = 160;

/// A small copy of a photo of `size` rows and columns, or of another picture of its size, as a `data:`
/// address. Its longest side has at most `side` pixels.
pub(super) fn data_uri(
    name: &str,
    size: [u32; 2],
    side: u32,
    rgb: &[u8],
) -> Result<String, TrainError> {
    Ok(format!(
        "data:image/png;base64,{}",
        base64(&thumbnail(name, size, side, rgb)?)
    ))
}

/// Base64 of RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit > group.len() {
                text.push('=');
            } else {
                let index = (bits >> (18 - 6 * digit)) & 63;
                text.push(char::from(DIGITS[index as usize]));
            }
        }
    }
    text
}

fn thumbnail(
    name: &str,
    [height, width]: [u32; 2],
    side: u32,
    rgb: &[u8],
) -> Result<Vec<u8>, TrainError> {
    let failed = |problem: String| TrainError::Draw {
        figure: "a photo",
        problem: format!("{name}: {problem}"),
    };
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels.checked_mul(3) != Some(rgb.len() as u64) {
        return Err(failed(format!(
            "{} bytes of RGB cannot be {width} by {height} pixels",
            rgb.len(),
        )));
    }
    let image = RgbImage::from_raw(width, height, rgb.to_vec())
        .ok_or_else(|| failed("no RGB image".to_string()))?;
    let mut png = Vec::new();
    scaled(&image, side)
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .map_err(|error| failed(error.to_string()))?;
    Ok(png)
}

/// Shrinks the image to the longest side, or enlarges it by an integer factor, so that small images
/// stay sharp.
fn scaled(image: &RgbImage, most: u32) -> Cow<'_, RgbImage> {
    let (width, height) = image.dimensions();
    let longest = width.max(height);
    if longest > most {
        let scale =
            |side: u32| ((u64::from(side) * u64::from(most)) / u64::from(longest)).max(1) as u32;
        let (width, height) = (scale(width), scale(height));
        return Cow::Owned(resize(image, width, height, FilterType::Triangle));
    }
    match most / longest {
        0 | 1 => Cow::Borrowed(image),
        times => {
            let (width, height) = (width * times, height * times);
            Cow::Owned(resize(image, width, height, FilterType::Nearest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::base64;

    /// The examples of RFC 4648, and all digits.
    #[test]
    fn base64_as_in_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xef, 0xff, 0x00]), "++//AA==");
    }
}
