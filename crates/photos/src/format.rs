//! Formats of photos: which are read, which are only recognised, and how their files' names end.

use std::path::Path;

use image::ImageFormat;

/// The formats that are read, for messages.
pub(super) const READ: &str = if cfg!(feature = "tiff") {
    "JPEG, PNG, BMP, WebP, GIF, TIFF and PNM"
} else {
    "JPEG, PNG, BMP, WebP, GIF and PNM"
};

/// Endings of the names of photos that are read, in lower case.
pub const PHOTO_ENDINGS: [&str; 14] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "webp", "gif", "tif", "tiff", "pnm", "pbm", "pgm",
    "ppm",
];

/// Whether a file's name ends as the name of a photo that is read. The content may be something
/// else.
pub fn has_photo_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        PHOTO_ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// What the first bytes say.
pub(super) enum Content {
    /// A format that is read.
    Read(ImageFormat),
    /// A format that has this name and is not read.
    Unread(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// Recognises a format by content.
pub(super) fn recognise(bytes: &[u8]) -> Content {
    if let Some(name) = iso_media(bytes) {
        return Content::Unread(name);
    }
    if bytes.starts_with(b"\xff\x0a") || bytes.starts_with(b"\0\0\0\x0cJXL ") {
        return Content::Unread("JPEG XL");
    }
    if bytes.starts_with(b"\0\0\0\x0cjP  ") {
        return Content::Unread("JPEG 2000");
    }
    match image::guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Jpeg
            | ImageFormat::Png
            | ImageFormat::Bmp
            | ImageFormat::WebP
            | ImageFormat::Gif
            | ImageFormat::Pnm),
        ) => Content::Read(format),
        Ok(ImageFormat::Tiff) if cfg!(feature = "tiff") => Content::Read(ImageFormat::Tiff),
        Ok(ImageFormat::Tiff) => Content::Unread("TIFF (this program was built without it)"),
        Ok(ImageFormat::Ico) => Content::Unread("ICO"),
        Ok(ImageFormat::Hdr) => Content::Unread("Radiance HDR"),
        Ok(ImageFormat::OpenExr) => Content::Unread("OpenEXR"),
        Ok(ImageFormat::Dds) => Content::Unread("DDS"),
        Ok(ImageFormat::Qoi) => Content::Unread("QOI"),
        _ => Content::Unknown,
    }
}

/// AVIF and HEIC are both files of ISO's base media format; the brands in their first box tell
/// them apart. The major brand may be the general one of still images, so all brands are asked.
fn iso_media(bytes: &[u8]) -> Option<&'static str> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let first = bytes.get(..length.min(bytes.len()))?;
    let brands = first.get(4..)?.strip_prefix(b"ftyp")?;
    let (brands, _) = brands.as_chunks::<4>();
    let any = |known: &[&[u8; 4]]| brands.iter().any(|brand| known.contains(&brand));
    if any(&[b"avif", b"avis"]) {
        Some("AVIF")
    } else if any(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
    ]) {
        Some("HEIC")
    } else if any(&[b"mif1", b"msf1"]) {
        Some("HEIF")
    } else {
        Some("ISO media (a film)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> &'static str {
        match recognise(bytes) {
            Content::Unread(name) => name,
            Content::Read(_) => "read",
            Content::Unknown => "unknown",
        }
    }

    #[test]
    fn brands_tell_avif_and_heic_apart() {
        assert_eq!(name(b"\0\0\0\x14ftypavif\0\0\0\0mif1"), "AVIF");
        assert_eq!(name(b"\0\0\0\x14ftypmif1\0\0\0\0heic"), "HEIC");
        assert_eq!(name(b"\0\0\0\x10ftypmif1\0\0\0\0heic"), "HEIF");
        assert_eq!(
            name(b"\0\0\0\x14ftypisom\0\0\0\0mp42"),
            "ISO media (a film)"
        );
        // A length far beyond the end, and none at all.
        assert_eq!(name(b"\xff\xff\xff\xffftypheic"), "HEIC");
        assert_eq!(name(b"\0\0"), "unknown");
        assert_eq!(name(b"P6 1 1 255 "), "read");
    }

    #[test]
    fn endings_are_known_in_any_case() {
        for photo in ["a.jpg", "b.JPEG", "c.TiFf"] {
            assert!(has_photo_ending(photo.as_ref()), "{photo}");
        }
        for other in ["jpg", ".jpg", "a.txt", "a.jpg.part", "photo"] {
            assert!(!has_photo_ending(other.as_ref()), "{other}");
        }
    }
}
