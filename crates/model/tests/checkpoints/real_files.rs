//! Published files, if they exist beside the project. Their logits must equal the framework's own.

use std::path::{Path, PathBuf};

use crate::support::{Golden, relative_error, skipped};
use candle_core::{Device, Tensor};
use mobilenet_model::PaddingRule;
use mobilenet_model::checkpoint::{Checkpoint, ReadLimits, SavedActivation, load};
use mobilenet_model::preprocess::{DecodeLimits, Photo, Preprocessing, open};

const BITMAPS: [&str; 4] = ["bird.bmp", "cat.bmp", "grace_hopper.bmp", "sunflower.bmp"];

/// The folder of published files. Without it the tests are skipped.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !folder.is_dir() {
        skipped(format_args!("there is no {}", folder.display()));
        return None;
    }
    Some(folder)
}

fn photo(data: &Path, name: &str) -> Photo {
    open(&data.join("photos").join(name), DecodeLimits::default()).unwrap()
}

/// The centre of a photo, normalised as the network expects, `[1, 3, side, side]`.
fn crop(photo: &Photo, checkpoint: &Checkpoint) -> Tensor {
    let preprocessing = &checkpoint.metadata.preprocessing;
    let side = preprocessing.size[0];
    let (top, left) = (
        (photo.height() as usize - side) / 2,
        (photo.width() as usize - side) / 2,
    );
    let pixel = |channel: usize, y: usize, x: usize| {
        let value = photo.get_pixel((left + x) as u32, (top + y) as u32)[channel];
        (f32::from(value) / 255.0 - preprocessing.mean[channel]) / preprocessing.std[channel]
    };
    let values: Vec<f32> = (0..3 * side * side)
        .map(|i| pixel(i / (side * side), i / side % side, i % side))
        .collect();
    Tensor::from_vec(values, (1, 3, side, side), &Device::Cpu).unwrap()
}

/// A photo as a batch of one, `[1, 3, rows, columns]`.
fn tensor(preprocessing: &Preprocessing, photo: &Photo) -> Tensor {
    let [height, width] = preprocessing.size;
    let pixels = preprocessing.pixels(photo).unwrap();
    let shape = (1, height, width, preprocessing.channels());
    let tensor = Tensor::from_vec(pixels, shape, &Device::Cpu).unwrap();
    tensor.permute((0, 3, 1, 2)).unwrap()
}

fn best(logits: &[f32]) -> usize {
    let all = logits.iter().enumerate();
    all.max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
}

fn check(name: &str, side: usize, classes: usize) -> Option<Checkpoint> {
    let data = data()?;
    let checkpoint = load(&data.join("models").join(name), ReadLimits::default()).unwrap();
    println!("{name}: {}", checkpoint.report);
    assert_eq!(checkpoint.metadata.preprocessing.size, [side, side]);
    assert_eq!(checkpoint.metadata.classes, Some(classes));
    let network = checkpoint.build().unwrap();
    let logits = |input: &Tensor| {
        let logits = network.forward_t(input, false).unwrap();
        logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };

    let golden = Golden::open("real_files.safetensors");
    let step: usize = golden.metadata("step").parse().unwrap();
    let found: Vec<f32> = BITMAPS
        .iter()
        .flat_map(|photo_name| {
            let all = logits(&crop(&photo(&data, photo_name), &checkpoint));
            all.into_iter().step_by(step).collect::<Vec<f32>>()
        })
        .collect();
    let error = relative_error(&found, golden.tensor(name));
    println!("{name}: {error:.1e} against {}", golden.framework());
    assert!(error <= 1e-4, "{name}: {error:e}");

    // What the golden script did: the whole photo.
    let squeezing = Preprocessing {
        resize: Preprocessing::plain(side).resize,
        ..checkpoint.metadata.preprocessing.clone()
    };
    let photos = golden.metadata("photos").split(',');
    let expected = golden.metadata(&format!("best.{name}"));
    let wrong: Vec<String> = photos
        .zip(expected.split(','))
        .filter_map(|(photo_name, expected)| {
            let photo = photo(&data, photo_name);
            let input = tensor(&squeezing, &photo);
            let found = best(&logits(&input)).to_string();
            let same = expected.split('|').any(|expected| expected == found);
            (!same).then(|| format!("{photo_name}: {found}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{name}: {}", wrong.join("; "));
    Some(checkpoint)
}

#[test]
fn keras_imagenet_hdf5() {
    if let Some(checkpoint) = check("mobilenet_v1_0.25_224.h5", 224, 1000) {
        // It records no rule, so it gets the one that serves ImageNet's weights best.
        assert_eq!(
            checkpoint.metadata.preprocessing,
            Preprocessing::timm(224, 0.875)
        );
        assert_eq!(checkpoint.metadata.padding, PaddingRule::Keras);
        assert!(checkpoint.report.unused.is_empty());
    }
}

#[test]
fn tflite_of_width_025_at_128() {
    check("mobilenet_v1_0.25_128_quant.tflite", 128, 1001);
}

#[test]
fn tflite_of_width_075_at_192() {
    check("mobilenet_v1_0.75_192_quant.tflite", 192, 1001);
}

/// MLPerf Tiny's network: ReLU, biases before batch norm, pixels between 0 and 1, no layer names.
#[test]
fn visual_wake_words() {
    if let Some(checkpoint) = check("vww_96.h5", 96, 2) {
        assert_eq!(checkpoint.metadata.activation, SavedActivation::Relu);
        assert_eq!(checkpoint.metadata.preprocessing.mean, [0.0; 3]);
        assert_eq!(checkpoint.metadata.preprocessing.std, [1.0; 3]);
        assert_eq!(checkpoint.report.applied.len(), 137 + 27);
    }
}

/// The same network, quantised with one scale per channel.
#[test]
fn visual_wake_words_quantised() {
    let Some(data) = data() else { return };
    let quantised = data.join("models/vww_96_int8.tflite");
    let quantised = load(&quantised, ReadLimits::default()).unwrap();
    let float = load(&data.join("models/vww_96.h5"), ReadLimits::default()).unwrap();
    assert_eq!(quantised.metadata.activation, SavedActivation::Relu);
    for name in BITMAPS {
        let photo = photo(&data, name);
        let [a, b] = [&quantised, &float].map(|checkpoint| {
            let logits = checkpoint.build().unwrap();
            let logits = logits.forward_t(&crop(&photo, checkpoint), false).unwrap();
            logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        });
        println!("{name}: {a:?}, float {b:?}");
        assert_eq!(best(&a), best(&b), "{name}");
    }
}
