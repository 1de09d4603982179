//! Compares augmentation with TensorFlow (`golden/augmentation.py`), and tests its own rules.

use mobilenet_data::augment::{
    Augmentation, Border, ColourAmounts, ColourOrder, CropBox, CropRule, MeanStd, ResizeMethod,
    adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, resize_crop,
};
use mobilenet_photos::{Photo, Preprocessing, Resize};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

fn bytes_of(name: &str) -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/augmentation.safetensors"
    );
    let file = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    tensors.tensor(name).unwrap().data().to_vec()
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = bytes_of(name);
    let (chunks, []) = bytes.as_chunks::<4>() else {
        panic!("{name} is not f32")
    };
    chunks
        .iter()
        .map(|chunk| f32::from_le_bytes(*chunk))
        .collect()
}

fn doubles(name: &str) -> Vec<f64> {
    let bytes = bytes_of(name);
    let (chunks, []) = bytes.as_chunks::<8>() else {
        panic!("{name} is not f64")
    };
    chunks
        .iter()
        .map(|chunk| f64::from_le_bytes(*chunk))
        .collect()
}

fn assert_close(found: &[f32], name: &str, tolerance: f32) {
    let expected = floats(name);
    assert_eq!(found.len(), expected.len(), "{name}");
    let worst = found
        .iter()
        .zip(&expected)
        .map(|(found, expected)| (found - expected).abs())
        .fold(0.0, f32::max);
    println!("{name}: {worst:e}");
    assert!(worst <= tolerance, "{name}: {worst}");
}

type Adjust = fn(&mut [f32], f32);

#[test]
fn colours_equal_tensorflows() {
    let cases: [(&str, Adjust, f32); 6] = [
        ("brightness", adjust_brightness, 0.09),
        ("saturation_less", adjust_saturation, 0.6),
        ("saturation_more", adjust_saturation, 1.45),
        ("hue_back", adjust_hue, -0.19),
        ("hue_on", adjust_hue, 0.13),
        ("contrast", adjust_contrast, 1.37),
    ];
    for (name, adjust, amount) in cases {
        let mut image = floats("colour");
        adjust(&mut image, amount);
        assert_close(&image, name, 2e-6);
    }
}

#[test]
fn colour_orders_equal_tensorflows() {
    let amounts = ColourAmounts {
        brightness: -0.11,
        saturation: 1.4,
        hue: 0.17,
        contrast: 1.3,
    };
    // Intermediate values may leave [0, 1]. They are clipped only at the end.
    for (orders, name) in [
        (&ColourOrder::FAST[..], "order_fast_"),
        (&ColourOrder::SLOW[..], "order_"),
    ] {
        for (case, order) in orders.iter().enumerate() {
            let mut image = floats("colour");
            order.apply(&mut image, &amounts);
            assert_close(&image, &format!("{name}{case}"), 2e-6);
        }
    }
}

#[test]
fn resizing_equals_tensorflows() {
    let photo = Photo::from_raw(31, 23, bytes_of("photo")).unwrap();
    let crop = CropBox {
        top: 3,
        left: 5,
        height: 17,
        width: 22,
    };
    let methods = [
        ("bilinear", ResizeMethod::Bilinear),
        ("nearest_neighbor", ResizeMethod::Nearest),
        ("bicubic", ResizeMethod::Bicubic),
        ("area", ResizeMethod::Area),
    ];
    for (name, method) in methods {
        for side in [12, 26] {
            let mut out = vec![0.0; side * side * 3];
            resize_crop(&photo, &crop, method, [side; 2], false, &mut out);
            assert_close(&out, &format!("{name}_{side}"), 2e-6);
        }
    }
}

/// The shares of `sorted` that are below a value, and at most that value.
fn chances(sorted: &[f64], value: f64) -> [f64; 2] {
    let count = sorted.len() as f64;
    [
        sorted.partition_point(|&one| one < value - 1e-9) as f64 / count,
        sorted.partition_point(|&one| one <= value + 1e-9) as f64 / count,
    ]
}

/// Compares the distributions of 20,000 draws each. They must differ by less than 2 % of
/// probability at every quantile. Two samples of the same distribution differ by about that much in
/// one of a thousand cases.
#[test]
fn crops_are_distributed_as_tensorflows() {
    const DRAWS: usize = 20_000;
    let stored = doubles("crop_chances");
    let cases = [
        ("crops_480_640_slim", 480, 640, CropRule::SLIM),
        ("crops_50_200_slim", 50, 200, CropRule::SLIM),
        ("crops_28_28_slim", 28, 28, CropRule::SLIM),
        ("crops_480_640_quarter", 480, 640, CropRule::MILD),
    ];
    for (name, height, width, rule) in cases {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut figures: [Vec<f64>; 4] = Default::default();
        for _ in 0..DRAWS {
            let crop = rule.draw(height, width, &mut rng);
            let [top, left, rows, columns] =
                [crop.top, crop.left, crop.height, crop.width].map(|n| n as f64);
            figures[0].push(rows * columns / (height * width) as f64);
            figures[1].push(columns / rows);
            figures[2].push((top + rows / 2.0) / height as f64);
            figures[3].push((left + columns / 2.0) / width as f64);
        }
        let quantiles = doubles(name);
        let labels = ["area", "aspect", "row", "column"];
        for ((mut figure, quantiles), label) in figures
            .into_iter()
            .zip(quantiles.chunks_exact(stored.len()))
            .zip(labels)
        {
            figure.sort_by(f64::total_cmp);
            let mut worst = 0.0f64;
            for (&quantile, &chance) in quantiles.iter().zip(&stored) {
                // With whole pixels, one value may cover a range of probabilities.
                let [below, at_most] = chances(&figure, quantile);
                worst = worst.max(below - chance).max(chance - at_most);
            }
            println!("{name}, {label}: {worst:.4}");
            assert!(worst < 0.02, "{name}, {label}: {worst}");
        }
    }
}

fn noise(width: u32, height: u32) -> Photo {
    let mut state = 12_345u32;
    Photo::from_fn(width, height, |_, _| {
        image::Rgb([0; 3].map(|_: u8| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        }))
    })
}

fn apply(augmentation: Augmentation, photo: &Photo, side: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut out = vec![f32::NAN; side * side * 3];
    augmentation.apply(photo, side, &MeanStd::default(), &mut rng, &mut out);
    out
}

#[test]
fn without_augmentation_it_is_slims_evaluation_without_the_crop() {
    let photo = noise(41, 33);
    let rule = Preprocessing {
        resize: Resize::CentralCrop { fraction: 1.0 },
        ..Preprocessing::slim(24)
    };
    let expected = rule.pixels(&photo).unwrap();
    let found = apply(Augmentation::None, &photo, 24, 0);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 2e-6, "{found} {expected}");
    }
}

/// Every pixel of a shifted image is a pixel of the photo or of its border.
#[test]
fn crop_flip_only_moves_pixels() {
    const SIDE: i64 = 9;
    const PADDING: i64 = 3;
    let photo = noise(SIDE as u32, SIDE as u32);
    for border in [Border::Zero, Border::Reflect] {
        let mut seen = std::collections::BTreeSet::new();
        let moved = |x: i64, y: i64| -> [f32; 3] {
            let fold = |v: i64| if v < 0 { -v } else { v.min(2 * (SIDE - 1) - v) };
            let inside = (0..SIDE).contains(&x) && (0..SIDE).contains(&y);
            match border {
                Border::Zero if !inside => [-1.0; 3],
                _ => photo
                    .get_pixel(fold(x) as u32, fold(y) as u32)
                    .0
                    .map(|value| f32::from(value) / 127.5 - 1.0),
            }
        };
        for seed in 0..300 {
            let padding = PADDING as usize;
            let augmentation = Augmentation::CropFlip { padding, border };
            let found = apply(augmentation, &photo, SIDE as usize, seed);
            let candidates = shifts(PADDING).find(|&(dy, dx, mirrored)| {
                let (pixels, _) = found.as_chunks::<3>();
                (0..SIDE * SIDE).all(|place| {
                    let (y, x) = (place / SIDE, place % SIDE);
                    let column = if mirrored { SIDE - 1 - x } else { x };
                    let expected = moved(column + dx, y + dy);
                    pixels[place as usize]
                        .iter()
                        .zip(expected)
                        .all(|(a, b)| (a - b).abs() < 1e-6)
                })
            });
            seen.insert(candidates.expect("a shift and a mirror explain the result"));
        }
        // There are 98 combinations of shift and mirroring. 300 draws give nearly all of them.
        assert!(seen.len() > 85, "{} of 98", seen.len());
    }
}

fn shifts(padding: i64) -> impl Iterator<Item = (i64, i64, bool)> {
    (-padding..=padding).flat_map(move |dy| {
        (-padding..=padding).flat_map(move |dx| [(dy, dx, false), (dy, dx, true)])
    })
}

#[test]
fn modes_differ_and_chance_comes_from_the_generator_alone() {
    let photo = noise(50, 40);
    let all = [
        Augmentation::SLIM,
        Augmentation::Inception {
            fast: false,
            fixed_order: false,
        },
        Augmentation::Mild,
        Augmentation::CropFlip {
            padding: 4,
            border: Border::Reflect,
        },
    ];
    for augmentation in all {
        let first = apply(augmentation, &photo, 16, 1);
        assert_eq!(first, apply(augmentation, &photo, 16, 1));
        assert_ne!(first, apply(augmentation, &photo, 16, 2));
    }
    for (i, one) in all.iter().enumerate() {
        for other in &all[i + 1..] {
            assert_ne!(apply(*one, &photo, 16, 1), apply(*other, &photo, 16, 1));
        }
    }
}

#[test]
fn colour_amounts_reach_their_bounds() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let draws: Vec<_> = (0..2000).map(|_| ColourAmounts::draw(&mut rng)).collect();
    let bound = 32.0 / 255.0;
    type Amount = fn(&ColourAmounts) -> f32;
    let cases: [(Amount, f32, f32); 4] = [
        (|amounts| amounts.brightness, -bound, bound),
        (|amounts| amounts.saturation, 0.5, 1.5),
        (|amounts| amounts.hue, -0.2, 0.2),
        (|amounts| amounts.contrast, 0.5, 1.5),
    ];
    for (amount, low, high) in cases {
        let least = draws.iter().map(amount).fold(f32::MAX, f32::min);
        let most = draws.iter().map(amount).fold(f32::MIN, f32::max);
        let edge = 0.01 * (high - low);
        assert!((low..low + edge).contains(&least), "{least}");
        assert!((high - edge..high).contains(&most), "{most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_photo_gives_pixels_in_range(
        width in 1u32..70, height in 1u32..70, side in 1usize..40, seed: u64, kind in 0usize..7,
    ) {
        let augmentation = [
            Augmentation::SLIM,
            Augmentation::Inception { fast: true, fixed_order: false },
            Augmentation::Inception { fast: false, fixed_order: false },
            Augmentation::Mild,
            Augmentation::CropFlip { padding: side, border: Border::Reflect },
            Augmentation::CropFlip { padding: 2, border: Border::Zero },
            Augmentation::None,
        ][kind];
        for value in apply(augmentation, &noise(width, height), side, seed) {
            prop_assert!((-1.00001..=1.00001).contains(&value), "{value}");
        }
    }

    #[test]
    fn crops_lie_within_the_photo(height in 1usize..300, width in 1usize..300, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let crop = CropRule::SLIM.draw(height, width, &mut rng);
        prop_assert!(crop.height > 0 && crop.top + crop.height <= height);
        prop_assert!(crop.width > 0 && crop.left + crop.width <= width);
        if crop != CropBox::whole(height, width) {
            let share = (crop.height * crop.width) as f32 / (height * width) as f32;
            prop_assert!(share >= 0.0999, "{share}");
        }
    }
}
