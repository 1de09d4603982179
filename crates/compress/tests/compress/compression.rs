//! Compressed weights: what is written is read again, photos make errors cancel, and no file does
//! harm.

use std::time::{Duration, Instant};

use crate::small_networks::{images, random};
use mobilenet_compress::codes::{CompressOptions, Compressed, Method, compress};
use mobilenet_model::checkpoint::{
    Checkpoint, Format, Levels, ReadLimits, WeightsDtype, compression_of, load, save,
    save_compressed,
};
use mobilenet_model::{InferencePlan, PlanOptions, PlanWeights};
use serde_json::Value;

const PALETTE: CompressOptions = CompressOptions {
    method: Method::Palette(4),
    bits: None,
};

fn written(compressed: &Compressed) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    save_compressed(&path, &compressed.checkpoint, &compressed.coded).unwrap();
    std::fs::read(path).unwrap()
}

fn logits(checkpoint: &Checkpoint, images: &[Vec<f32>]) -> Vec<f32> {
    let config = checkpoint.metadata.config();
    let weights = PlanWeights::new(&config, &checkpoint.parameters).unwrap();
    let options = PlanOptions::new(checkpoint.metadata.preprocessing.size, 1);
    let mut plan = InferencePlan::new(&weights, &options).unwrap();
    let mut logits = vec![0.0; images.len() * plan.output_len()];
    plan.run(&images.concat(), &mut logits).unwrap();
    logits
}

/// Mean square of the difference of logits.
fn error(float: &Checkpoint, compressed: &Checkpoint, images: &[Vec<f32>]) -> f64 {
    let (float, ours) = (logits(float, images), logits(compressed, images));
    let squares = float.iter().zip(&ours);
    squares.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / ours.len() as f64
}

#[test]
fn every_method_is_read_as_it_was_written() {
    let checkpoint = random(|_| {});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let mut sizes = Vec::new();
    for (method, bits) in [
        (Method::Integers(8), None),
        (Method::Palette(6), None),
        (Method::Integers(8), Some(4.5)),
        (Method::Palette(4), None),
        (Method::Integers(4), None),
    ] {
        let options = CompressOptions { method, bits };
        let compressed = compress(&checkpoint, &images(&checkpoint, 0..2), &options).unwrap();
        save_compressed(&path, &compressed.checkpoint, &compressed.coded).unwrap();
        let read = load(&path, ReadLimits::default()).unwrap();
        assert_eq!(read.metadata, compressed.checkpoint.metadata);
        assert!(read.metadata.folded && read.report.is_complete());
        for (name, expected) in &compressed.checkpoint.parameters {
            assert_eq!(&read.parameters[name], expected, "{method}: {name}");
        }
        // The same weights and photos give the same bytes.
        let again = compress(&checkpoint, &images(&checkpoint, 0..2), &options).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), written(&again), "{method}");

        let said = compression_of(&path, ReadLimits::default())
            .unwrap()
            .unwrap();
        assert_eq!(said.method, method.to_string());
        assert_eq!(said.layers.len(), 14);
        if let Some(bits) = bits {
            // Scales of these narrow layers add to it.
            assert!((said.bits() - bits).abs() < 0.5, "{}", said.bits());
        }
        sizes.push(said.bits());
    }
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
    save(&path, &checkpoint, WeightsDtype::F32).unwrap();
    assert_eq!(compression_of(&path, ReadLimits::default()).unwrap(), None);
}

#[test]
fn errors_cancel_on_photos() {
    let checkpoint = random(|_| {});
    let others = images(&checkpoint, 100..110);
    for method in [Method::Palette(4), Method::Integers(4)] {
        let options = CompressOptions { method, bits: None };
        let of = |photos: Vec<Vec<f32>>| {
            let compressed = compress(&checkpoint, &photos, &options).unwrap();
            error(&checkpoint, &compressed.checkpoint, &others)
        };
        let (without, with) = (of(Vec::new()), of(images(&checkpoint, 0..12)));
        println!("{method}: {without:.2e} without photos, {with:.2e} with");
        assert!(with < 0.7 * without, "{method}: {with:e} {without:e}");
    }
}

#[test]
fn more_bits_are_closer() {
    let checkpoint = random(|_| {});
    let photos = images(&checkpoint, 0..4);
    let of = |bits| {
        let method = Method::Integers(8);
        let options = CompressOptions { method, bits };
        let compressed = compress(&checkpoint, &photos, &options).unwrap();
        error(&checkpoint, &compressed.checkpoint, &photos)
    };
    let errors = [Some(3.0), Some(4.0), Some(5.0), None].map(of);
    assert!(errors.is_sorted_by(|a, b| *a > 1.5 * b), "{errors:?}");
}

#[test]
fn wrong_settings_are_errors() {
    let checkpoint = random(|_| {});
    let refused = |method, bits| {
        let options = CompressOptions { method, bits };
        let error = compress(&checkpoint, &[], &options).unwrap_err();
        error.to_string()
    };
    assert!(refused(Method::Palette(9), None).contains("2 to 8, was 9"));
    assert!(refused(Method::Palette(4), Some(4.0)).contains("left out"));
    assert!(refused(Method::Integers(8), Some(f64::NAN)).contains("1 to 8"));
    let wrong_size = vec![vec![0.0; 7]];
    assert!(compress(&checkpoint, &wrong_size, &PALETTE).is_err());
}

/// A file with another header.
fn with_header(bytes: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let (header, values) = bytes[8..].split_at(length);
    let mut header = serde_json::from_slice(header).unwrap();
    edit(&mut header);
    let mut text = header.to_string();
    while text.len() % 8 != 0 {
        text.push(' ');
    }
    let length = (text.len() as u64).to_le_bytes();
    [&length[..], text.as_bytes(), values].concat()
}

const KEY: &str = "mobilenet_v1_compression";
const LAYER: &str = "Conv2d_9_pointwise.weight";

/// A file whose entry on coding is another.
fn with_coding(bytes: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    with_header(bytes, |header| {
        let entry = &mut header["__metadata__"][KEY];
        let mut coding = serde_json::from_str(entry.as_str().unwrap()).unwrap();
        edit(&mut coding);
        *entry = coding.to_string().into();
    })
}

/// Where the bytes of a part of a layer are in the file.
fn place(bytes: &[u8], part: &str) -> usize {
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offsets = &header[format!("{LAYER}.{part}")]["data_offsets"];
    8 + length + offsets[0].as_u64().unwrap() as usize
}

fn refused(bytes: &[u8], expected: &str) {
    let start = Instant::now();
    let error = Format::Safetensors
        .read(bytes, ReadLimits::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(expected),
        "expected `{expected}` in: {error}"
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn hostile_files_are_errors_that_name_the_tensor() {
    let checkpoint = random(|_| {});
    let good = written(&compress(&checkpoint, &[], &PALETTE).unwrap());
    Format::Safetensors
        .read(&good, ReadLimits::default())
        .unwrap();
    let shaped = |shape: Value| with_coding(&good, |c| c["tensors"][LAYER]["shape"] = shape);
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();

    // Shapes that lie.
    refused(
        &shaped(json("[128, 127, 1, 1]")),
        "more symbols than its shape has",
    );
    refused(&shaped(json("[128, 129, 1, 1]")), "codes: ");
    refused(&shaped(json("[64, 256, 1, 1]")), "128 scales, expected 64");
    refused(&shaped(json("[]")), "shape []");
    refused(&shaped(json("[128, 0]")), "shape [128, 0]");
    refused(
        &shaped(json("[128, 4294967296, 4294967296, 16]")),
        "overflows",
    );
    // A bomb: nothing is allocated for it.
    refused(&shaped(json("[128, 1000000000]")), "more than the");
    refused(&shaped(json("[128, -1]")), "compression");

    // Parts that are missing, of another type, or too long.
    let unknown = with_coding(&good, |coding| {
        coding["tensors"]["a"] = json(r#"{"shape": [1]}"#);
    });
    refused(&unknown, "a.scale");
    let retyped = with_header(&good, |header| {
        header[format!("{LAYER}.scale")]["dtype"] = "F16".into();
    });
    refused(&retyped, "F16 of shape [128], expected BF16");
    refused(
        &with_header(&good, |header| header["__metadata__"][KEY] = "{".into()),
        "compression",
    );
    let twice = with_header(&good, |header| {
        let mut bias = header["Conv2d_9_pointwise.bias"].take();
        header
            .as_object_mut()
            .unwrap()
            .remove("Conv2d_9_pointwise.bias");
        std::mem::swap(&mut header[LAYER], &mut bias);
    });
    refused(&twice, "appears twice");

    // Symbols beyond a palette, numbers that are none, streams that are cut or changed.
    let integers = compress(
        &checkpoint,
        &[],
        &CompressOptions {
            method: Method::Integers(8),
            bits: None,
        },
    );
    let mut integers = integers.unwrap();
    let layer = integers.coded.tensors.get_mut(LAYER).unwrap();
    layer.levels = Levels::Palette(vec![0.5; 100]);
    refused(&written(&integers), "is not in its palette");
    let layer = integers.coded.tensors.get_mut(LAYER).unwrap();
    layer.levels = Levels::Palette(vec![0.5; 257]);
    refused(&written(&integers), "a palette of 257 values");
    for (part, bytes, expected) in [
        ("palette", f32::NAN.to_le_bytes(), "NaN in its palette"),
        ("scale", [0x80, 0x7f, 0, 0], "scale 0 is inf"),
        ("codes", [0; 4], "codes: "),
    ] {
        let mut changed = good.clone();
        let at = place(&good, part);
        changed[at..at + 4].copy_from_slice(&bytes);
        refused(&changed, expected);
    }
    for at in (place(&good, "codes")..).take(2000).step_by(13) {
        let mut changed = good.clone();
        changed[at] ^= 1 << (at % 8);
        refused(&changed, LAYER);
    }
}
