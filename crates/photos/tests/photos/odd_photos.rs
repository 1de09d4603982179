//! Odd and hostile photos, and what each gives: a size, or a sentence.

use std::io::Cursor;
use std::path::Path;

use crate::golden::golden;
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, RgbImage, imageops};
use mobilenet_photos::{
    DecodeLimits, DecodeOptions, Decoded, EncodedPhoto, Photo, PhotoError, Preprocessing,
    Reduction, decode, open,
};

/// The photo of `golden/odd_photos.py`.
fn photo() -> RgbImage {
    RgbImage::from_fn(64, 48, |x, y| {
        [4 * x as u8, 5 * y as u8, 255 - 4 * x as u8].into()
    })
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn of_pillow(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(&golden("odd_photos")).join(name)).unwrap()
}

/// A JPEG with an EXIF block of this orientation.
fn turned(orientation: u8) -> Vec<u8> {
    let jpeg = encode(photo(), ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    // Tag 0x0112, type short, count 1, the value, no further directory.
    exif.extend([
        0x01,
        0x12,
        0,
        3,
        0,
        0,
        0,
        1,
        0,
        orientation,
        0,
        0,
        0,
        0,
        0,
        0,
    ]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

fn animated_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for image in [photo(), imageops::rotate180(&photo())] {
        let frame = Frame::new(DynamicImage::from(image).into_rgba8());
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// An upright photo's size, or what the error must say.
type Expected = Result<(u32, u32), &'static str>;

fn table() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let whole = DynamicImage::from(photo());
    let upright = Ok((64, 48));
    let turned_by_a_quarter = Ok((48, 64));
    let ftyp = |brands: &[u8]| [&[0, 0, 0, 8 + brands.len() as u8], &b"ftyp"[..], brands].concat();
    vec![
        ("a.jpg", encode(photo(), ImageFormat::Jpeg), upright),
        (
            "grey.jpg",
            encode(whole.to_luma8(), ImageFormat::Jpeg),
            upright,
        ),
        ("progressive.jpg", of_pillow("progressive.jpg"), upright),
        ("cmyk.jpg", of_pillow("cmyk.jpg"), upright),
        ("orientation0.jpg", turned(0), upright),
        ("orientation1.jpg", turned(1), upright),
        ("orientation2.jpg", turned(2), upright),
        ("orientation3.jpg", turned(3), upright),
        ("orientation4.jpg", turned(4), upright),
        ("orientation5.jpg", turned(5), turned_by_a_quarter),
        ("orientation6.jpg", turned(6), turned_by_a_quarter),
        ("orientation7.jpg", turned(7), turned_by_a_quarter),
        ("orientation8.jpg", turned(8), turned_by_a_quarter),
        ("orientation9.jpg", turned(9), upright),
        ("a.png", encode(photo(), ImageFormat::Png), upright),
        (
            "16.png",
            encode(whole.to_rgb16(), ImageFormat::Png),
            upright,
        ),
        (
            "grey16.png",
            encode(whole.to_luma16(), ImageFormat::Png),
            upright,
        ),
        (
            "alpha.png",
            encode(whole.to_rgba8(), ImageFormat::Png),
            upright,
        ),
        ("palette.png", of_pillow("palette.png"), upright),
        ("a.bmp", encode(photo(), ImageFormat::Bmp), upright),
        ("a.gif", encode(photo(), ImageFormat::Gif), upright),
        ("animated.gif", animated_gif(), upright),
        ("a.webp", encode(photo(), ImageFormat::WebP), upright),
        ("animated.webp", of_pillow("animated.webp"), upright),
        ("a.tiff", encode(photo(), ImageFormat::Tiff), upright),
        ("deflated.tiff", of_pillow("deflated.tiff"), upright),
        ("a.ppm", encode(photo(), ImageFormat::Pnm), upright),
        ("text.pgm", b"P2 2 1 255 7 9\n".to_vec(), Ok((2, 1))),
        (
            "wrong-ending.png",
            encode(photo(), ImageFormat::Jpeg),
            upright,
        ),
        (
            "1x1.png",
            encode(RgbImage::new(1, 1), ImageFormat::Png),
            Ok((1, 1)),
        ),
        (
            "1x5000.png",
            encode(RgbImage::new(1, 5000), ImageFormat::Png),
            Ok((1, 5000)),
        ),
        (
            "5000x1.jpg",
            encode(RgbImage::new(5000, 1), ImageFormat::Jpeg),
            Ok((5000, 1)),
        ),
        ("empty.jpg", Vec::new(), Err("empty.jpg: the file is empty")),
        (
            "notes.jpg",
            b"Dear diary".to_vec(),
            Err("notes.jpg: not a JPEG, PNG,"),
        ),
        (
            "page.png",
            b"<!doctype html><p>404".to_vec(),
            Err("page.png: not a JPEG, PNG,"),
        ),
        (
            "a.avif",
            ftyp(b"avif\0\0\0\0mif1"),
            Err("a.avif: AVIF is not read; JPEG, PNG,"),
        ),
        (
            "a.heic",
            ftyp(b"mif1\0\0\0\0heic"),
            Err("a.heic: HEIC is not read; JPEG, PNG,"),
        ),
        (
            "a.mp4",
            ftyp(b"isom\0\0\0\0mp42"),
            Err("a.mp4: ISO media (a film) is not read"),
        ),
        (
            "a.jxl",
            b"\xff\x0a\0\0\0\0".to_vec(),
            Err("a.jxl: JPEG XL is not read"),
        ),
        (
            "a.ico",
            b"\0\0\x01\0\x01\0\x10\x10".to_vec(),
            Err("a.ico: ICO is not read"),
        ),
        (
            "start.jpg",
            b"\xff\xd8\xff".to_vec(),
            Err("start.jpg: the file is cut off"),
        ),
    ]
}

#[test]
fn each_gives_a_photo_or_a_sentence() {
    for (name, bytes, expected) in table() {
        let found = decode(name, &bytes, DecodeLimits::default());
        match (found, expected) {
            (Ok(found), Ok(size)) => assert_eq!(found.dimensions(), size, "{name}"),
            (Err(error), Err(start)) => {
                let error = error.to_string();
                assert!(error.starts_with(start), "{name}: {error}");
            }
            (found, expected) => panic!("{name}: {found:?}, not {expected:?}"),
        }
    }
}

/// The largest distance of a colour, in the corners and the middle.
fn distance(a: &Photo, b: &Photo) -> u8 {
    let at = |(x, y)| {
        let pairs = a.get_pixel(x, y).0.into_iter().zip(b.get_pixel(x, y).0);
        pairs.map(|(a, b)| a.abs_diff(b)).max().unwrap()
    };
    let (right, bottom) = (a.width() - 1, a.height() - 1);
    let places = [
        (0, 0),
        (right, 0),
        (0, bottom),
        (right, bottom),
        (right / 2, bottom / 2),
    ];
    places.into_iter().map(at).max().unwrap()
}

#[test]
fn what_is_decoded_is_the_photo() {
    let frames = [
        "progressive.jpg",
        "cmyk.jpg",
        "deflated.tiff",
        "animated.webp",
    ]
    .map(of_pillow);
    let tiff = encode(photo(), ImageFormat::Tiff);
    let pnm = encode(photo(), ImageFormat::Pnm);
    for bytes in frames.into_iter().chain([tiff, pnm]) {
        let found = decode("photo", &bytes, DecodeLimits::default()).unwrap();
        // JPEG's rounding, most of all at the corners.
        assert!(distance(&found, &photo()) <= 8);
    }
    // Of 16 colours the nearest.
    let palette = decode(
        "palette",
        &of_pillow("palette.png"),
        DecodeLimits::default(),
    );
    assert!(distance(&palette.unwrap(), &photo()) <= 48);
}

#[test]
fn all_eight_orientations_are_turned_upright_whole_and_reduced() {
    let lying = decode("x", &turned(1), DecodeLimits::default()).unwrap();
    for (orientation, upright) in [
        (1, lying.clone()),
        (2, imageops::flip_horizontal(&lying)),
        (3, imageops::rotate180(&lying)),
        (4, imageops::flip_vertical(&lying)),
        (5, imageops::flip_horizontal(&imageops::rotate90(&lying))),
        (6, imageops::rotate90(&lying)),
        (7, imageops::flip_horizontal(&imageops::rotate270(&lying))),
        (8, imageops::rotate270(&lying)),
    ] {
        let bytes = turned(orientation);
        let decoded = |reduction| {
            let options = DecodeOptions {
                reduction,
                ..DecodeOptions::default()
            };
            let encoded = EncodedPhoto::new("x", bytes.as_slice()).unwrap();
            let [height, width] = encoded.size();
            assert_eq!((width as u32, height as u32), upright.dimensions());
            encoded.decode(options).unwrap().photo
        };
        assert_eq!(decoded(Reduction::None), upright, "{orientation}");
        let half = decoded(Reduction::Half);
        assert_eq!(half.width(), upright.width() / 2);
        let small = imageops::thumbnail(&upright, half.width(), half.height());
        assert!(distance(&half, &small) <= 12, "{orientation}");
    }
}

fn lenient(bytes: &[u8]) -> Result<Decoded, PhotoError> {
    let options = DecodeOptions {
        lenient: true,
        ..DecodeOptions::default()
    };
    EncodedPhoto::new("cut", bytes)?.decode(options)
}

#[test]
fn a_photo_that_is_cut_off_is_an_error_or_a_warning() {
    let jpeg = encode(photo(), ImageFormat::Jpeg);
    let png = encode(photo(), ImageFormat::Png);
    for bytes in [jpeg, of_pillow("progressive.jpg"), png] {
        let mut photos = 0;
        for tenth in 1..10 {
            let cut = &bytes[..bytes.len() * tenth / 10];
            let error = decode("cut", cut, DecodeLimits::default()).unwrap_err();
            assert_eq!(
                error.to_string(),
                "cut: the file is cut off, a part of the photo is missing"
            );
            // Where the header is missing, there is nothing to be lenient with.
            if let Ok(Decoded { photo, warning }) = lenient(cut) {
                assert_eq!(photo.dimensions(), (64, 48));
                assert_eq!(warning, Some(error.to_string()));
                photos += 1;
            }
        }
        assert!(photos >= 3, "{photos}");
        assert!(lenient(&bytes).unwrap().warning.is_none());
        // Whatever follows the end is not the photo's.
        let longer = [&bytes[..], b"trailing bytes"].concat();
        assert!(decode("longer", &longer, DecodeLimits::default()).is_ok());
    }
}

/// The other formats: an error wherever something is missing that a decoder needs.
#[test]
fn other_formats_that_are_cut_off_are_errors() {
    for format in [
        ImageFormat::Bmp,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Pnm,
    ] {
        let bytes = encode(photo(), format);
        for tenth in 0..10 {
            let cut = &bytes[..bytes.len() * tenth / 10];
            let found = decode("cut", cut, DecodeLimits::default());
            let error = found.expect_err(&format!("{format:?} {tenth}")).to_string();
            assert!(!error.contains('{'), "{error}");
        }
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| open(path, DecodeLimits::default()).unwrap_err().to_string();
    assert!(message(folder.path()).ends_with("is a folder, not a file"));
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe.jpg");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        assert!(message(&pipe).ends_with("pipe.jpg is a pipe or a device, not a file"));
        assert!(message(Path::new("/dev/zero")).ends_with("is a pipe or a device, not a file"));
        // A name that is not UTF-8.
        use std::os::unix::ffi::OsStrExt;
        let odd = folder
            .path()
            .join(std::ffi::OsStr::from_bytes(b"caf\xe9.png"));
        std::fs::write(&odd, encode(photo(), ImageFormat::Png)).unwrap();
        assert_eq!(open(&odd, DecodeLimits::default()).unwrap(), photo());
    }
}

#[test]
fn memory_is_known_before_it_is_taken() {
    let jpeg = encode(RgbImage::new(1024, 768), ImageFormat::Jpeg);
    let encoded = EncodedPhoto::new("x", jpeg.as_slice()).unwrap();
    let pixels = 1024 * 768 * 3;
    let file = jpeg.len() as u64;
    assert_eq!(encoded.memory(Reduction::None), file + pixels);
    assert_eq!(encoded.memory(Reduction::Quarter), file + 2 * pixels / 16);
    // Three planes of 64x48 coefficients of 16 bits, of which chroma has a quarter.
    let progressive = EncodedPhoto::new("x", of_pillow("progressive.jpg")).unwrap();
    let file = of_pillow("progressive.jpg").len() as u64;
    let coefficients = 64 * 48 * 2 * 3 / 2;
    assert_eq!(
        progressive.memory(Reduction::None),
        file + 64 * 48 * 3 + coefficients
    );
}

#[test]
fn a_rule_says_how_far_a_photo_may_be_reduced() {
    let plain = Preprocessing::plain(224);
    assert_eq!(plain.reduction([1790, 10_000]), Reduction::None);
    assert_eq!(plain.reduction([1792, 10_000]), Reduction::Half);
    assert_eq!(plain.reduction([1792, 10_001]), Reduction::None);
    assert_eq!(plain.reduction([10_000, 10_000]), Reduction::Quarter);
    let timm = Preprocessing::timm(224, 0.875);
    assert_eq!(timm.reduction([3000, 4000]), Reduction::Half);
    assert_eq!(timm.reduction([4000, 3000]), Reduction::Half);
    assert_eq!(timm.reduction([6000, 8000]), Reduction::Quarter);
    // No filter averages pixels, so each of them counts.
    assert_eq!(
        Preprocessing::slim(224).reduction([6000, 8000]),
        Reduction::None
    );
}
