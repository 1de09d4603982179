//! A detector of random weights with two maps (`golden/ssd.py`): LiteRT's numbers on every
//! instruction set, and what happens where its file is broken.

use std::sync::Arc;

use mobilenet_detect::integers::{IntegerDetectorPlan, IntegerWeights};
use mobilenet_detect::tflite::{QuantizedDetector, Rules};
use mobilenet_detect::{Computation, DetectError, DetectorWeights};
use mobilenet_kernels::integer::{Arithmetic, IntegerImages};
use mobilenet_kernels::simd::IntegerIsa;
use mobilenet_model::checkpoint::ReadLimits;
use mobilenet_model::checkpoint::readers::read_branches;
use safetensors::SafeTensors;

const FILE: &[u8] = include_bytes!("../golden/tiny_ssd.tflite");
const GOLDEN: &[u8] = include_bytes!("../golden/tiny_ssd.safetensors");

fn detector() -> QuantizedDetector {
    QuantizedDetector::new(read_branches(FILE, ReadLimits::default()).unwrap()).unwrap()
}

fn load(bytes: &[u8], computation: Computation) -> Result<DetectorWeights, DetectError> {
    DetectorWeights::of_bytes("tiny.tflite", bytes, ReadLimits::default(), computation)
}

fn bytes(name: &str) -> Vec<u8> {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    file.tensor(name).unwrap().data().to_vec()
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = bytes(name);
    let values = bytes.as_chunks::<4>().0.iter();
    values.map(|&value| f32::from_le_bytes(value)).collect()
}

#[test]
fn literts_integers_in_both_roundings() {
    assert_ne!(bytes("reference.encodings"), bytes("optimized.encodings"));
    for isa in IntegerIsa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (name, arithmetic) in [
            ("reference", Arithmetic::Reference),
            ("optimized", Arithmetic::Optimized),
        ] {
            for threads in [1, 2, 3] {
                let QuantizedDetector {
                    chain,
                    branches,
                    boxes,
                    scores,
                    rules,
                    ..
                } = detector();
                let joints = [boxes, scores];
                let weights =
                    IntegerWeights::for_isa(isa, chain, branches, joints, arithmetic).unwrap();
                let mut plan =
                    IntegerDetectorPlan::new(Arc::new(weights), rules.anchors.len(), threads)
                        .unwrap();
                let image = bytes("image");
                let [encodings, scores] = plan.run_raw(&IntegerImages::U8(&image)).unwrap();
                assert_eq!(
                    encodings,
                    bytes(&format!("{name}.encodings")),
                    "{isa}, {name}"
                );
                assert_eq!(scores, bytes(&format!("{name}.scores")), "{isa}, {name}");
            }
        }
    }
}

/// By its reference kernels: the optimised ones turn integers into numbers with other last bits, where
/// the file does that with an operator of its own.
#[test]
fn literts_boxes() {
    let QuantizedDetector {
        chain,
        branches,
        boxes,
        scores,
        rules,
    } = detector();
    let Rules {
        anchors,
        post_process,
        ..
    } = rules;
    let (joints, arithmetic) = ([boxes, scores], Arithmetic::Reference);
    let weights = IntegerWeights::new(chain, branches, joints, arithmetic).unwrap();
    let mut plan = IntegerDetectorPlan::new(Arc::new(weights), anchors.len(), 1).unwrap();
    let image = bytes("image");
    let [encodings, scores] = plan.run(&IntegerImages::U8(&image)).unwrap();
    let found = post_process.run(&encodings, &scores, &anchors).unwrap();
    assert_eq!(found.len(), 20);
    let boxes: Vec<f32> = found.iter().flat_map(|found| found.bounds).collect();
    assert_eq!(boxes, floats("reference.boxes"));
    let scores: Vec<f32> = found.iter().map(|found| found.score).collect();
    assert_eq!(scores, floats("reference.best"));
    let classes: Vec<f32> = found.iter().map(|found| found.class as f32).collect();
    assert_eq!(classes, floats("reference.classes"));
}

/// Random weights let errors of rounding grow, and integers end somewhere; most numbers are near.
#[test]
fn numbers_are_near_the_integers() {
    let image = bytes("image");
    let image: Vec<f32> = image
        .iter()
        .map(|&byte| (f32::from(byte) - 128.0) / 128.0)
        .collect();
    let integers = load(FILE, Computation::Integers(Arithmetic::Optimized)).unwrap();
    let floats = load(FILE, Computation::Floats).unwrap();
    let exact = integers.plan(1).unwrap().predict(&image).unwrap();
    let found = floats.plan(2).unwrap().predict(&image).unwrap();
    for (part, spread, apart) in [(0, 4.0, 0.1), (1, 0.3, 0.01)] {
        assert_eq!(found[part].len(), exact[part].len());
        let count = exact[part].len() as f32;
        let inside = |number: f32| number.clamp(-6.0, 6.7);
        let pairs = found[part].iter().zip(&exact[part]);
        let difference: f32 = pairs.map(|(&a, &b)| (inside(a) - inside(b)).abs()).sum();
        let numbers: f32 = exact[part].iter().map(|number| number.abs()).sum();
        assert!(difference / count < apart, "{part}: {}", difference / count);
        assert!(numbers / count > spread, "{part}: {}", numbers / count);
    }
}

/// Where a pattern is in the file, once.
fn place(pattern: &[u8]) -> usize {
    let mut places = FILE
        .windows(pattern.len())
        .enumerate()
        .filter(|(_, found)| *found == pattern);
    let (place, _) = places.next().unwrap();
    assert!(places.next().is_none(), "it is there more than once");
    place
}

fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = FILE.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

fn message(file: &[u8]) -> String {
    load(file, Computation::Integers(Arithmetic::Optimized))
        .unwrap_err()
        .to_string()
}

#[test]
fn broken_anchors_are_named() {
    let anchors: Vec<u8> = detector()
        .rules
        .anchors
        .iter()
        .flatten()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let at = place(&anchors);
    let found = message(&changed(at + 4 * (4 * 3 + 2), &f32::NAN.to_le_bytes()));
    assert!(found.contains("anchor 3 must be finite"), "{found}");
    let found = message(&changed(at + 4 * (4 * 7 + 3), &0f32.to_le_bytes()));
    assert!(
        found.contains("anchor 7 must be finite and have an area"),
        "{found}"
    );
    // One anchor less, by its length and by its shape, and by its length alone.
    let count = anchors.len() / 16;
    let fewer = changed(at - 4, &(anchors.len() as u32 - 16).to_le_bytes());
    let found = message(&fewer);
    assert!(found.contains("anchors"), "{found}");
    let shape: Vec<u8> = [2, count as u32, 4]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let mut both = fewer;
    let shape = place(&shape) + 4;
    both[shape..shape + 4].copy_from_slice(&(count as u32 - 1).to_le_bytes());
    let found = message(&both);
    let expected = format!("expected {}, found {}", 4 * (count - 1), 4 * count);
    assert!(found.contains(&expected), "{found}");
}

#[test]
fn impossible_options_are_named() {
    // The values of the map, in the order of their names, 8 bytes each.
    let overlap = place(&0.6f64.to_le_bytes());
    let (most, classes) = (overlap - 8, overlap + 16);
    assert_eq!(FILE[classes], 5);
    let found = message(&changed(classes, &1_000_000_000u32.to_le_bytes()));
    assert!(
        found.contains("number of classes must be from 1 to 65,536"),
        "{found}"
    );
    let found = message(&changed(classes, &0u32.to_le_bytes()));
    assert!(found.contains("number of classes"), "{found}");
    // As many as there are columns: no background.
    let six = load(
        &changed(classes, &6u32.to_le_bytes()),
        Computation::Integers(Arithmetic::Optimized),
    )
    .unwrap();
    assert_eq!(six.post_process().classes, 6);
    let found = message(&changed(classes, &7u32.to_le_bytes()));
    assert!(
        found.contains("scores of a box: expected 8, found 6"),
        "{found}"
    );
    let found = message(&changed(most, &u32::MAX.to_le_bytes()));
    assert!(found.contains("number of detections"), "{found}");
    let found = message(&changed(overlap, &f64::NAN.to_le_bytes()));
    assert!(found.contains("overlap"), "{found}");
}

#[test]
fn other_files_are_no_detectors() {
    for file in [
        &b""[..],
        b"TFL3",
        &FILE[..100],
        b"\x1c\0\0\0TFL3 and nothing else at all",
    ] {
        load(file, Computation::Integers(Arithmetic::Optimized)).unwrap_err();
    }
    let name = place(b"TFLite_Detection_PostProcess");
    let found = message(&changed(name, b"Another_"));
    assert!(found.contains("tiny.tflite: no detector"), "{found}");
}

/// Bytes changed in several ways, and cut off in many places: never a panic. What loads also runs.
#[test]
fn no_byte_makes_it_panic() {
    let image: Vec<f32> = vec![0.25; 20 * 20 * 3];
    let mut loaded = 0;
    let limits = ReadLimits {
        extra_bytes: 1 << 24,
        ..ReadLimits::default()
    };
    for at in (0..FILE.len()).step_by(3) {
        // Weights, which are most of the file, are all alike.
        let value = [0xff, 0, 0x80, FILE[at].wrapping_add(1)][at % 4];
        let file = changed(at, &[value]);
        let computation = [
            Computation::Integers(Arithmetic::Optimized),
            Computation::Floats,
        ][at / 4 % 2];
        if let Ok(weights) = DetectorWeights::of_bytes("changed", &file, limits, computation) {
            loaded += 1;
            if at % 16 == 0
                && let Ok(mut plan) = weights.plan(1)
            {
                drop(plan.detect(&image, weights.post_process()));
            }
        }
    }
    assert!(loaded > FILE.len() / 12, "{loaded}");
    for end in (0..FILE.len()).step_by(37) {
        load(&FILE[..end], Computation::Integers(Arithmetic::Optimized)).unwrap_err();
    }
}

/// The same network in numbers, of which a layer has weights of 16 bits.
#[test]
fn a_file_of_numbers_computes_literts_numbers() {
    let file = include_bytes!("../golden/tiny_ssd_float.tflite");
    let golden =
        SafeTensors::deserialize(include_bytes!("../golden/tiny_ssd_float.safetensors")).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let values = golden
            .tensor(name)
            .unwrap()
            .data()
            .as_chunks::<4>()
            .0
            .to_vec();
        values.into_iter().map(f32::from_le_bytes).collect()
    };
    let image = golden.tensor("image").unwrap().data().iter();
    let image: Vec<f32> = image
        .map(|&byte| (f32::from(byte) - 128.0) / 128.0)
        .collect();
    let weights = load(file, Computation::Integers(Arithmetic::Optimized)).unwrap();
    assert_eq!(weights.preprocessing().size, [20, 20]);
    for threads in [1, 2] {
        let mut plan = weights.plan(threads).unwrap();
        let [encodings, scores] = plan.predict(&image).unwrap();
        for (name, found) in [("encodings", encodings), ("scores", scores)] {
            let expected = floats(&format!("reference.{name}"));
            assert_eq!(found.len(), expected.len());
            let largest = expected
                .iter()
                .fold(0.0f32, |most, value| most.max(value.abs()));
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-5 * largest,
                    "{name}: {found}, {expected}"
                );
            }
        }
        let found = plan.detect(&image, weights.post_process()).unwrap();
        let classes: Vec<f32> = found.iter().map(|found| found.class as f32).collect();
        assert_eq!(classes, floats("reference.classes"));
    }
    // Bytes changed: no panic.
    let limits = ReadLimits {
        extra_bytes: 1 << 24,
        ..ReadLimits::default()
    };
    for at in (0..file.len()).step_by(11) {
        let mut changed = file.to_vec();
        changed[at] = [0xff, 0, 0x80, changed[at].wrapping_add(1)][at % 4];
        drop(DetectorWeights::of_bytes(
            "changed",
            &changed,
            limits,
            Computation::Floats,
        ));
    }
}

/// A few bytes must not make a reader take all memory.
#[test]
fn huge_images_are_refused() {
    let float = include_bytes!("../golden/tiny_ssd_float.tflite");
    for file in [FILE, float.as_slice()] {
        let shape: Vec<u8> = [4i32, 1, 20, 20, 3]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let at = file
            .windows(shape.len())
            .position(|found| found == shape)
            .unwrap();
        for rows in [1i32 << 20, i32::MAX, 0, -1] {
            let mut changed = file.to_vec();
            for axis in [8, 12] {
                changed[at + axis..at + axis + 4].copy_from_slice(&rows.to_le_bytes());
            }
            for computation in [Computation::default(), Computation::Floats] {
                load(&changed, computation).unwrap_err();
            }
        }
    }
}
