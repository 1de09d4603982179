//! Photos of the report as small PNG files.

use std::borrow::Cow;
use std::io::Cursor;

use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};

use super::contents::WrongPhoto;
use crate::error::TrainError;

/// Longest side, in pixels.
const SIDE: u32 = 128;

pub(super) fn file_name(index: usize) -> String {
    format!("worst_{}.png", index + 1)
}

pub(super) fn thumbnail(photo: &WrongPhoto) -> Result<Vec<u8>, TrainError> {
    let failed = |problem: String| TrainError::Draw {
        figure: "a photo",
        problem: format!("{}: {problem}", photo.name),
    };
    let pixels = u64::from(photo.width) * u64::from(photo.height);
    if pixels == 0 || pixels.checked_mul(3) != Some(photo.rgb.len() as u64) {
        return Err(failed(format!(
            "{} bytes of RGB cannot be {} by {} pixels",
            photo.rgb.len(),
            photo.width,
            photo.height
        )));
    }
    let image = RgbImage::from_raw(photo.width, photo.height, photo.rgb.clone())
        .ok_or_else(|| failed("no RGB image".to_string()))?;
    let mut png = Vec::new();
    scaled(&image)
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .map_err(|error| failed(error.to_string()))?;
    Ok(png)
}

/// Shrinks the image to the longest side, or enlarges it by an integer factor, so that small images
/// stay sharp.
fn scaled(image: &RgbImage) -> Cow<'_, RgbImage> {
    let (width, height) = image.dimensions();
    let longest = width.max(height);
    if longest > SIDE {
        let scale =
            |side: u32| ((u64::from(side) * u64::from(SIDE)) / u64::from(longest)).max(1) as u32;
        let (width, height) = (scale(width), scale(height));
        return Cow::Owned(resize(image, width, height, FilterType::Triangle));
    }
    match SIDE / longest {
        0 | 1 => Cow::Borrowed(image),
        times => {
            let (width, height) = (width * times, height * times);
            Cow::Owned(resize(image, width, height, FilterType::Nearest))
        }
    }
}
