//! What a JPEG's markers say before it is decoded, and decoding at a reduced size.
//!
//! The decoder that is used for whole photos (zune-jpeg, through `image`) cannot reduce them, and
//! fills up what is missing without a word. So the markers are read here: whether the file comes to
//! its end, and how much memory its coefficients take.

use image::RgbImage;
use jpeg_decoder::{Decoder, PixelFormat};

/// By what the sides of a JPEG are divided while it is decoded, which costs less than decoding and
/// resizing it. By 8 would cost hardly less, and what is left is a shade darker than the photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Reduction {
    /// By nothing: every pixel is decoded.
    #[default]
    None,
    /// By 2.
    Half,
    /// By 4.
    Quarter,
}

impl Reduction {
    /// From the largest to none.
    pub(super) const ALL: [Self; 3] = [Self::Quarter, Self::Half, Self::None];

    /// What a side is divided by.
    pub fn divisor(self) -> usize {
        match self {
            Self::None => 1,
            Self::Half => 2,
            Self::Quarter => 4,
        }
    }
}

/// What the markers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Survey {
    /// Whether the end marker is there.
    pub(super) complete: bool,
    /// Bytes of coefficients that a decoder holds, where the photo comes in several scans.
    pub(super) coefficients: u64,
}

/// Reads the markers of a JPEG, which begins with the start marker.
pub(super) fn survey(bytes: &[u8]) -> Survey {
    let (mut scans, mut frame) = (0, 0);
    let mut complete = false;
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some((marker, after)) = next_marker(rest) {
        match marker {
            0xD9 => {
                complete = true;
                break;
            }
            // Markers without content. Restart markers and stuffed zeros are part of a scan.
            0x00 | 0x01 | 0xD0..=0xD8 => rest = after,
            _ => {
                let Some((segment, after)) = split_segment(after) else {
                    break;
                };
                match marker {
                    0xDA => scans += 1,
                    0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                        frame = coefficients(segment).unwrap_or(0);
                    }
                    _ => {}
                }
                rest = after;
            }
        }
    }
    Survey {
        complete,
        coefficients: if scans > 1 { frame } else { 0 },
    }
}

/// The next marker and what follows it. Anything before it is skipped: the data of a scan, or
/// bytes that do not belong there.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    // `contains` looks at many bytes at a time.
    let chunk = bytes.chunks(64).position(|chunk| chunk.contains(&0xFF))? * 64;
    let from = chunk + bytes[chunk..].iter().position(|&byte| byte == 0xFF)?;
    let after = &bytes[from..];
    let fill = after.iter().position(|&byte| byte != 0xFF)?;
    Some((after[fill], &after[fill + 1..]))
}

/// The content of a segment, which begins with its own length, and what follows it.
fn split_segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    let (segment, after) = bytes.split_at_checked(length)?;
    Some((segment.get(2..)?, after))
}

/// Bytes of all coefficients of a frame, 16 bits each.
fn coefficients(segment: &[u8]) -> Option<u64> {
    let &[_, y1, y0, x1, x0, _, ref components @ ..] = segment else {
        return None;
    };
    let sides = [[x1, x0], [y1, y0]].map(|side| u64::from(u16::from_be_bytes(side)));
    let (components, _) = components.as_chunks::<3>();
    let factors = |&[_, factors, _]: &[u8; 3]| [factors >> 4, factors & 15].map(u64::from);
    let largest = |axis: usize| components.iter().map(|c| factors(c)[axis]).max();
    let blocks = [0, 1].map(|axis| Some(sides[axis].div_ceil(8 * largest(axis)?.max(1))));
    let [Some(columns), Some(rows)] = blocks else {
        return None;
    };
    let of_unit: u64 = components
        .iter()
        .map(|c| factors(c).iter().product::<u64>())
        .sum();
    Some(columns * rows * of_unit * 64 * 2)
}

/// Decodes a grey or colour JPEG at a reduced size. `None` where this decoder cannot: the other
/// one then decodes the whole photo, or says what is wrong with it.
pub(super) fn decode_reduced(bytes: &[u8], reduction: Reduction, most: u64) -> Option<RgbImage> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(usize::try_from(most).unwrap_or(usize::MAX));
    decoder.read_info().ok()?;
    let info = decoder.info()?;
    let divisor = reduction.divisor() as u16;
    let (width, height) = (info.width.div_ceil(divisor), info.height.div_ceil(divisor));
    let size = decoder.scale(width, height).ok()?;
    // It may choose another factor for tiny photos; then nothing is gained.
    if size != (width, height) {
        return None;
    }
    let samples = decoder.decode().ok()?;
    let samples = match info.pixel_format {
        PixelFormat::RGB24 => samples,
        PixelFormat::L8 => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        PixelFormat::L16 | PixelFormat::CMYK32 => return None,
    };
    RgbImage::from_raw(width.into(), height.into(), samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_followed_to_the_end() {
        let bytes = b"\xff\xd8\xff\xe0\0\x04\xff\xd9\xff\xda\0\x02ab\xff\0c\xff\xd0d\xff\xff\xd9";
        let survey_of = |end: usize| survey(&bytes[..end]).complete;
        assert!(survey_of(bytes.len()));
        for end in 0..bytes.len() {
            assert!(!survey_of(end), "{end}");
        }
    }

    #[test]
    fn several_scans_hold_all_coefficients() {
        // 17x9 pixels, colour at half the columns: 2 units of 16x8 by 2, of 4 blocks each.
        let frame = b"\xff\xc2\0\x11\x08\0\x09\0\x11\x03\x01\x21\0\x02\x11\0\x03\x11\0";
        let scan = b"\xff\xda\0\x02x";
        let once = [b"\xff\xd8", &frame[..], scan].concat();
        assert_eq!(survey(&once).coefficients, 0);
        let twice = [&once[..], scan].concat();
        assert_eq!(survey(&twice).coefficients, 2 * 2 * 4 * 64 * 2);
    }
}
