//! Compares preprocessing with TensorFlow, transformers and timm (`model/tests/golden/preprocess.py`). Also
//! tests decoding.

use std::io::Cursor;

use crate::golden::golden;
use image::{DynamicImage, ImageFormat, RgbImage};
use mobilenet_photos::{
    CropRounding, DecodeLimits, Filter, Photo, PhotoError, Preprocessing, Resize, Views, decode,
    open,
};
use safetensors::SafeTensors;

/// One step of an 8-bit value, in units of the normalised result.
const STEP: f32 = 2.0 / 255.0;

fn bytes_of(name: &str) -> Vec<u8> {
    bytes_in("preprocess.safetensors", name)
}

fn bytes_in(file: &str, name: &str) -> Vec<u8> {
    let file = std::fs::read(golden(file)).unwrap();
    SafeTensors::deserialize(&file)
        .unwrap()
        .tensor(name)
        .unwrap()
        .data()
        .to_vec()
}

fn expected(name: &str) -> Vec<f32> {
    let file = match name.ends_with("_wide") || name.ends_with("_tall") {
        true => "preprocess_sizes.safetensors",
        false => "preprocess.safetensors",
    };
    let bytes = bytes_in(file, name);
    let (chunks, []) = bytes.as_chunks::<4>() else {
        panic!("not f32")
    };
    chunks
        .iter()
        .map(|chunk| f32::from_le_bytes(*chunk))
        .collect()
}

fn photo(name: &str) -> Photo {
    RgbImage::from_raw(61, 47, bytes_of(name)).unwrap()
}

fn worst(rule: &Preprocessing, image: &str, name: &str) -> f32 {
    let found = rule.pixels(&photo(image)).unwrap();
    let expected = expected(name);
    assert_eq!(found.len(), expected.len(), "{name}");
    let worst = found
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    println!("{name}: {worst:e}");
    worst
}

fn sized(rule: Preprocessing, height: usize, width: usize) -> Preprocessing {
    Preprocessing {
        size: [height, width],
        ..rule
    }
}

#[test]
fn slim_rule_equals_tensorflow() {
    let uncropped = Preprocessing {
        resize: Resize::CentralCrop { fraction: 1.0 },
        ..Preprocessing::slim(32)
    };
    for (rule, image, name) in [
        (Preprocessing::slim(32), "noise_image", "slim"),
        (
            sized(Preprocessing::slim(32), 33, 21),
            "noise_image",
            "slim_odd",
        ),
        (uncropped.clone(), "noise_image", "uncropped"),
        (sized(uncropped, 50, 64), "noise_image", "uncropped_up"),
        (Preprocessing::slim(32), "smooth_image", "smooth_slim"),
    ] {
        assert!(worst(&rule, image, name) <= 1e-5, "{name}");
    }
}

#[test]
fn plain_rule_equals_pillow() {
    assert!(worst(&Preprocessing::plain(32), "noise_image", "plain") <= STEP * 1.01);
}

fn shortest(edge: usize, filter: Filter, rounding: CropRounding, side: usize) -> Preprocessing {
    let resize = Resize::ShortestEdge {
        edge,
        filter,
        rounding,
    };
    Preprocessing {
        resize,
        ..Preprocessing::plain(side)
    }
}

#[test]
fn hugging_face_rule_equals_transformers() {
    let rule = shortest(40, Filter::Bilinear, CropRounding::Down, 32);
    for (image, name) in [
        ("noise_image", "hugging_face"),
        ("smooth_image", "smooth_hugging_face"),
    ] {
        assert!(worst(&rule, image, name) <= STEP * 1.01, "{name}");
    }
}

#[test]
fn timm_rule_equals_timm() {
    let rule = Preprocessing::timm(32, 0.875);
    // The margin of crops of 18 and 12 is not a whole number of pixels.
    for (rule, image, name) in [
        (rule.clone(), "noise_image", "timm"),
        (rule, "smooth_image", "smooth_timm"),
        (
            Preprocessing::timm(18, 1.0),
            "noise_image",
            "timm_half_down",
        ),
        (Preprocessing::timm(12, 1.0), "noise_image", "timm_half_up"),
    ] {
        assert!(worst(&rule, image, name) <= STEP * 1.01, "{name}");
    }
}

/// For sizes that are no square, the photo covers the enlarged crop.
#[test]
fn timm_rule_equals_timm_for_any_shape() {
    let rule = Preprocessing::timm(32, 0.875);
    for (size, image, name) in [
        ([32, 48], "noise_image", "timm_wide"),
        ([48, 32], "noise_image", "timm_tall"),
        ([32, 48], "smooth_image", "smooth_timm_wide"),
    ] {
        let rule = rule.clone().at_size(size);
        assert!(worst(&rule, image, name) <= STEP * 1.01, "{name}");
    }
}

#[test]
fn ten_views_of_any_shape_are_as_large_as_the_input() {
    for size in [[32, 48], [48, 32], [16, 64], [32, 32]] {
        for rule in [Preprocessing::timm(32, 0.875), Preprocessing::plain(32)] {
            let mut rule = rule.at_size(size);
            rule.views = Views::Ten;
            let views = rule.views(&photo("noise_image")).unwrap();
            assert_eq!(views.len(), 10 * size[0] * size[1] * 3);
        }
    }
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn every_format_decodes_to_the_same_photo() {
    // Reduces the colours to the number that GIF's palette can hold.
    let mut posterised = photo("smooth_image");
    posterised.iter_mut().for_each(|value| *value &= 0xC0);
    let original = DynamicImage::ImageRgb8(posterised);
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Jpeg,
    ] {
        // The format is recognised by content, not by the name.
        let found = decode(
            "photo.txt",
            &encode(&original, format),
            DecodeLimits::default(),
        )
        .unwrap();
        assert_eq!(found.dimensions(), (61, 47));
        let difference: f64 = found
            .as_raw()
            .iter()
            .zip(original.as_bytes())
            .map(|(a, b)| f64::from(a.abs_diff(*b)))
            .sum::<f64>()
            / found.as_raw().len() as f64;
        let allowed = if format == ImageFormat::Jpeg {
            8.0
        } else {
            0.0
        };
        assert!(difference <= allowed, "{format:?}: {difference}");
    }
}

#[test]
fn grey_alpha_and_16_bit_become_rgb() {
    let rgb = DynamicImage::ImageRgb8(photo("smooth_image"));
    let expected = rgb.to_rgb8();
    for variant in [
        DynamicImage::ImageRgba8(rgb.to_rgba8()),
        DynamicImage::ImageRgb16(rgb.to_rgb16()),
        DynamicImage::ImageRgba16(rgb.to_rgba16()),
    ] {
        let found = decode(
            "x",
            &encode(&variant, ImageFormat::Png),
            DecodeLimits::default(),
        )
        .unwrap();
        assert_eq!(found, expected);
    }
    let grey = DynamicImage::ImageLuma8(rgb.to_luma8());
    let found = decode(
        "x",
        &encode(&grey, ImageFormat::Png),
        DecodeLimits::default(),
    )
    .unwrap();
    assert!(found.pixels().all(|p| p[0] == p[1] && p[1] == p[2]));
}

/// A JPEG whose EXIF block says that it is turned by 90 degrees clockwise (orientation 6).
#[test]
fn exif_orientation_turns_the_photo_upright() {
    let jpeg = encode(
        &DynamicImage::ImageRgb8(photo("smooth_image")),
        ImageFormat::Jpeg,
    );
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    // Tag 0x0112, type short, count 1, value 6, no further directory.
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
    let mut turned = jpeg[..2].to_vec();
    turned.extend([0xff, 0xe1]);
    turned.extend((exif.len() as u16 + 2).to_be_bytes());
    turned.extend(exif);
    turned.extend(&jpeg[2..]);
    let lying = decode("x", &jpeg, DecodeLimits::default()).unwrap();
    let upright = decode("x", &turned, DecodeLimits::default()).unwrap();
    assert_eq!(upright.dimensions(), (47, 61));
    assert_eq!(upright, image::imageops::rotate90(&lying));
}

#[test]
fn a_grey_network_gets_grey_pixels() {
    let rule = Preprocessing {
        mean: vec![0.0],
        std: vec![1.0],
        ..Preprocessing::plain(8)
    };
    let pixels = rule.pixels(&photo("smooth_image")).unwrap();
    assert_eq!(pixels.len(), 8 * 8);
    let odd = Preprocessing {
        mean: vec![0.0; 4],
        std: vec![1.0; 4],
        ..Preprocessing::plain(8)
    };
    assert!(matches!(
        odd.pixels(&photo("smooth_image")),
        Err(PhotoError::Rule(_))
    ));
}

#[test]
fn a_huge_header_is_refused_without_allocating() {
    // A BMP header that declares 50,000 x 50,000 pixels.
    let mut bmp = encode(
        &DynamicImage::ImageRgb8(photo("smooth_image")),
        ImageFormat::Bmp,
    );
    bmp[18..22].copy_from_slice(&50_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&50_000u32.to_le_bytes());
    let error = decode("huge.bmp", &bmp, DecodeLimits::default()).unwrap_err();
    assert!(
        matches!(
            error,
            PhotoError::TooLarge {
                width: 50_000,
                height: 50_000,
                ..
            }
        ),
        "{error}"
    );
    // A PNG header that declares the same. It has a checksum.
    let png = huge_png_header();
    let error = decode("huge.png", &png, DecodeLimits::default()).unwrap_err();
    assert!(matches!(error, PhotoError::TooLarge { .. }), "{error}");
}

fn huge_png_header() -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(50_000u32.to_be_bytes());
    chunk.extend(50_000u32.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut crc = !0u32;
    for byte in &chunk {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(chunk);
    png.extend((!crc).to_be_bytes());
    // The start of a data chunk ends the header.
    png.extend(b"\0\0\0\x01IDAT\0");
    png
}

#[test]
fn what_is_no_photo_is_a_typed_error_that_names_it() {
    let error = decode("notes.jpg", b"Dear diary, today", DecodeLimits::default()).unwrap_err();
    assert!(matches!(error, PhotoError::NotAnImage { .. }));
    assert!(
        error.to_string().starts_with("notes.jpg: not a JPEG"),
        "{error}"
    );
    assert!(matches!(
        decode("e", b"", DecodeLimits::default()),
        Err(PhotoError::Empty { .. })
    ));
    let missing = open("no/such/photo.jpg".as_ref(), DecodeLimits::default()).unwrap_err();
    assert!(missing.to_string().contains("no/such/photo.jpg"));
}

/// Every truncation and a flipped bit in every byte gives an error or a photo, never a panic.
#[test]
fn broken_photos_do_not_panic() {
    let small = image::imageops::thumbnail(&photo("noise_image"), 12, 9);
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Jpeg,
    ] {
        let bytes = encode(&DynamicImage::ImageRgb8(small.clone()), format);
        let limits = DecodeLimits {
            image_bytes: 1 << 20,
            ..DecodeLimits::default()
        };
        let mut errors = 0;
        for end in 0..bytes.len() {
            errors += usize::from(decode("cut", &bytes[..end], limits).is_err());
        }
        assert!(
            errors > bytes.len() / 4,
            "{format:?}: {errors} of {}",
            bytes.len()
        );
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index % 8);
            drop(decode("flipped", &flipped, limits));
        }
    }
}

/// A photo whose colours say where they come from: red the column, green the row.
fn coordinates(width: u32, height: u32) -> Photo {
    RgbImage::from_fn(width, height, |x, y| [x as u8, y as u8, 0].into())
}

#[test]
fn two_views_are_the_whole_photo_and_the_centre() {
    let photo = photo("smooth_image");
    let timm = Preprocessing::timm(32, 0.875);
    let plain = Preprocessing::plain(32);
    let both = [plain.pixels(&photo).unwrap(), timm.pixels(&photo).unwrap()].concat();
    for rule in [timm, plain] {
        let one = Preprocessing {
            views: Views::One,
            ..rule.clone()
        };
        assert_eq!(one.views(&photo).unwrap(), one.pixels(&photo).unwrap());
        let two = Preprocessing {
            views: Views::Two,
            ..rule
        };
        assert_eq!(two.views(&photo).unwrap(), both);
    }
}

#[test]
fn ten_views_are_corners_and_centre_each_mirrored() {
    // The photo has the rule's short edge already, so that nothing is resized.
    let rule = Preprocessing {
        views: Views::Ten,
        mean: vec![0.0; 3],
        std: vec![1.0 / 255.0; 3],
        ..Preprocessing::timm(28, 0.875)
    };
    let views = rule.views(&coordinates(40, 32)).unwrap();
    let (views, []) = views.as_chunks::<{ 28 * 28 * 3 }>() else {
        panic!("not whole views")
    };
    assert_eq!(views.len(), 10);
    // Column and row of the first pixel: the square in the middle begins at column 4.
    let corners = [[4.0, 0.0], [8.0, 0.0], [4.0, 4.0], [8.0, 4.0], [6.0, 2.0]];
    for (pair, corner) in views.chunks_exact(2).zip(corners) {
        let (view, mirrored) = (&pair[0], &pair[1]);
        assert!((view[0] - corner[0]).abs() < 1e-3 && (view[1] - corner[1]).abs() < 1e-3);
        let (row, of_mirrored) = (&view[..28 * 3], &mirrored[..28 * 3]);
        let turned: Vec<f32> = row.chunks_exact(3).rev().flatten().copied().collect();
        assert_eq!(of_mirrored, turned);
    }
    let centre = Preprocessing {
        views: Views::One,
        ..rule
    };
    assert_eq!(centre.pixels(&coordinates(40, 32)).unwrap(), views[8]);
}

#[test]
fn another_size_keeps_the_share_of_the_crop() {
    let larger = Preprocessing::timm(224, 0.875).at_size([320, 320]);
    // timm rounds down: 320 / 0.875 is 365.7.
    assert_eq!(larger, Preprocessing::timm(320, 0.875));
    let Resize::ShortestEdge { edge, .. } = larger.resize else {
        panic!("{larger:?}")
    };
    assert_eq!(edge, 365);
    let plain = Preprocessing::plain(224).at_size([96, 128]);
    assert_eq!(plain.resize, Preprocessing::plain(96).resize);
    // Files say nothing of one view, so that older programs read them.
    let said = serde_json::to_string(&plain).unwrap();
    assert!(!said.contains("views"), "{said}");
    let two = Preprocessing {
        views: Views::Two,
        ..plain
    };
    let said = serde_json::to_string(&two).unwrap();
    assert_eq!(serde_json::from_str::<Preprocessing>(&said).unwrap(), two);
}

#[test]
fn the_longest_edge_fits_and_the_rest_is_black() {
    let rule = Preprocessing {
        resize: Resize::LongestEdge {
            filter: Filter::Bilinear,
        },
        ..Preprocessing::plain(8)
    };
    for (width, height, inner) in [
        (40, 20, [4, 8]),
        (20, 40, [8, 4]),
        (3, 3, [8, 8]),
        (500, 1, [1, 8]),
    ] {
        let photo = Photo::from_pixel(width, height, [255, 255, 255].into());
        let pixels = rule.pixels(&photo).unwrap();
        assert_eq!(pixels.len(), 8 * 8 * 3);
        for (index, value) in pixels.iter().enumerate() {
            let (y, x) = (index / 24, index / 3 % 8);
            let expected = if y < inner[0] && x < inner[1] {
                1.0
            } else {
                -1.0
            };
            assert_eq!(*value, expected, "{width}x{height}: {y}, {x}");
        }
        let region = rule
            .resize
            .region([height as usize, width as usize], [8, 8]);
        let seen = [region[2] / f64::from(height), region[3] / f64::from(width)];
        let expected = inner.map(|side| 8.0 / side as f64);
        assert_eq!(seen, expected, "{width}x{height}");
    }
}
