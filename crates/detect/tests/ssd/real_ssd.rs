//! TensorFlow Hub's quantised SSD, if it exists beside the project: every tensor and every box as
//! LiteRT has them (`golden/ssd.py`).

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenet_detect::integers::{IntegerDetectorPlan, IntegerWeights};
use mobilenet_detect::tflite::QuantizedDetector;
use mobilenet_detect::{Computation, Detection, DetectorWeights};
use mobilenet_kernels::integer::{
    self, Arithmetic, IntegerImages, IntegerLayer, IntegerOutput, IntegerProgram,
    IntegerProgramConfig, PackedIntegers, Quantized, ValueKind,
};
use mobilenet_kernels::simd::IntegerIsa;
use mobilenet_model::checkpoint::ReadLimits;
use mobilenet_model::checkpoint::readers::{Branched, TailKind, read_branches};
use mobilenet_model::preprocess::{DecodeLimits, open};
use serde_json::Value;
use sha2::{Digest, Sha256};

const GOLDEN: &str = include_str!("../golden/ssd_mobilenet_v1.jsonl");

fn skipped(what: impl std::fmt::Display) {
    // Not by `eprintln`, whose output the test harness hides.
    let line = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The folder of published files, if the detector is in it.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !file(&folder).is_file() {
        skipped(format_args!("there is no {}", file(&folder).display()));
        return None;
    }
    Some(folder)
}

fn file(data: &Path) -> PathBuf {
    data.join("models/ssd_mobilenet_v1.uint8.tflite")
}

fn network(data: &Path) -> Branched<IntegerLayer> {
    read_branches(&fs::read(file(data)).unwrap(), ReadLimits::default()).unwrap()
}

fn photos() -> Vec<Value> {
    let lines = GOLDEN.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    text[..12].to_string()
}

/// A photo as bytes and as numbers, and whether it is that of the golden file: JPEG decoders differ.
fn prepared(data: &Path, golden: &Value) -> (Vec<u8>, Vec<f32>, bool) {
    let name = golden["photo"].as_str().unwrap();
    let photo = open(&data.join("photos").join(name), DecodeLimits::default()).unwrap();
    let bytes = crate::support::squeezed(&photo, 300);
    let same = hash(&bytes) == golden["input"].as_str().unwrap();
    assert!(
        same || name.ends_with(".jpg"),
        "{name} is decoded otherwise"
    );
    let pixels = bytes.iter().map(|&byte| (f32::from(byte) - 128.0) / 128.0);
    (bytes.clone(), pixels.collect(), same)
}

/// The network in one arithmetic: all layers by a program of their own, and what a plan makes of the
/// predictors.
struct Computed {
    program: IntegerProgram,
    plan: IntegerDetectorPlan,
    layers: Vec<IntegerLayer>,
    /// What the joined integers of boxes and of scores mean.
    joints: Vec<Quantized>,
}

impl Computed {
    fn new(file: Branched<IntegerLayer>, arithmetic: Arithmetic, threads: usize) -> Self {
        let branches = file.branches.iter().map(|(_, layer)| layer);
        let layers: Vec<IntegerLayer> = file.layers.iter().chain(branches).cloned().collect();
        let joints = file
            .tail
            .iter()
            .filter(|one| one.kind == TailKind::Concatenation);
        let joints = joints.map(|one| one.meaning.unwrap()).collect();
        let detector = QuantizedDetector::new(file).unwrap();
        let (chain, branches) = (detector.chain.clone(), detector.branches.clone());
        let parts = [detector.boxes, detector.scores];
        let own = IntegerWeights::new(detector.chain, detector.branches, parts, arithmetic);
        let plan = IntegerDetectorPlan::new(Arc::new(own.unwrap()), 1917, threads).unwrap();
        let isa = IntegerIsa::best().unwrap();
        let packed = PackedIntegers::with_branches(chain, branches, arithmetic, isa).unwrap();
        let config = IntegerProgramConfig {
            size: [300, 300],
            outputs: (0..layers.len()).collect(),
            threads,
        };
        Self {
            program: IntegerProgram::new(Arc::new(packed), &config).unwrap(),
            plan,
            layers,
            joints,
        }
    }

    /// Hashes of all tensors by name.
    fn hashes(&mut self, image: &[u8]) -> HashMap<&str, String> {
        let image = IntegerImages::U8(image);
        let shapes = self.program.output_shapes().iter();
        let mut maps: Vec<Vec<u8>> = shapes.map(|s| vec![0; s.iter().product()]).collect();
        let mut outputs: Vec<_> = maps.iter_mut().map(|map| IntegerOutput::U8(map)).collect();
        self.program.run(&image, &mut outputs).unwrap();
        let mut hashes = HashMap::new();
        let mut joined = [Vec::new(), Vec::new()];
        let parts = ["BoxEncodingPredictor", "ClassPredictor"];
        for (layer, map) in self.layers.iter().zip(&maps) {
            hashes.insert(layer.name.as_str(), hash(map));
            let part = parts.iter().position(|part| layer.name.contains(part));
            if let (Some(part), ValueKind::Quantized(meaning)) = (part, layer.output) {
                let table = integer::joined(meaning, self.joints[part]);
                joined[part].extend(map.iter().map(|&byte| table[usize::from(byte)]));
            }
        }
        let [boxes, scores] = self.plan.run_raw(&image).unwrap();
        assert_eq!(boxes, joined[0]);
        hashes.insert("concat", hash(&joined[0]));
        hashes.insert("concat_1", hash(&joined[1]));
        hashes.insert("convert_scores", hash(&scores));
        hashes
    }
}

#[test]
fn every_tensor_in_both_roundings() {
    let Some(data) = data() else { return };
    let names: Value = serde_json::from_str(GOLDEN.lines().next().unwrap()).unwrap();
    let names = names["tensors"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
    let mut compared = 0;
    for (key, arithmetic) in [
        ("reference", Arithmetic::Reference),
        ("optimized", Arithmetic::Optimized),
    ] {
        for threads in [1, 3] {
            let mut computed = Computed::new(network(&data), arithmetic, threads);
            for golden in photos() {
                let (bytes, _, true) = prepared(&data, &golden) else {
                    continue;
                };
                let found = computed.hashes(&bytes);
                let expected = golden[key].as_str().unwrap().split(' ');
                for (name, expected) in names.iter().zip(expected) {
                    assert_eq!(found[name], expected, "{name}, {key}, {}", golden["photo"]);
                    compared += 1;
                }
            }
        }
    }
    // At least the four bitmaps, in two roundings by two numbers of threads.
    assert!(compared >= 4 * 2 * 2 * 50, "{compared}");
}

/// Class, score and box of each line of the golden file.
fn boxes(golden: &Value, key: &str) -> Vec<Detection> {
    let lines = golden[key].as_array().unwrap().iter();
    let detection = |line: &Value| {
        let number = |index: usize| line[index].as_f64().unwrap() as f32;
        Detection {
            class: number(0) as usize,
            score: number(1),
            bounds: [2, 3, 4, 5].map(number),
        }
    };
    lines.map(detection).collect()
}

#[test]
fn its_boxes_on_eight_photos() {
    let Some(data) = data() else { return };
    let weights =
        DetectorWeights::open(&file(&data), Computation::Integers(Arithmetic::Optimized)).unwrap();
    let mut plan = weights.plan(2).unwrap();
    for golden in photos() {
        let (_, pixels, same) = prepared(&data, &golden);
        let found = plan.detect(&pixels, weights.post_process()).unwrap();
        let expected = boxes(&golden, "optimized_boxes");
        let photo = &golden["photo"];
        if same {
            assert_eq!(found, expected, "{photo}");
            continue;
        }
        // Another decoder: a few pixels differ by one.
        for (found, expected) in found.iter().zip(&expected).filter(|(_, e)| e.score >= 0.5) {
            assert_eq!(found.class, expected.class, "{photo}");
            assert!(
                (found.score - expected.score).abs() < 0.03,
                "{photo}: {found:?}"
            );
            let mut sides = found.bounds.iter().zip(expected.bounds);
            assert!(
                sides.all(|(a, b)| (a - b).abs() < 0.03),
                "{photo}: {found:?}, {expected:?}"
            );
        }
    }
}

/// In the rounding of LiteRT's default interpreter, boxes are its own.
#[test]
fn the_default_is_literts() {
    let Some(data) = data() else { return };
    let weights = DetectorWeights::open(&file(&data), Computation::default()).unwrap();
    let mut plan = weights.plan(2).unwrap();
    for golden in photos() {
        if let (_, pixels, true) = prepared(&data, &golden) {
            let found = plan.detect(&pixels, weights.post_process()).unwrap();
            assert_eq!(
                found,
                boxes(&golden, "default_boxes"),
                "{}",
                golden["photo"]
            );
        }
    }
}

#[test]
fn in_numbers_it_finds_the_same() {
    let Some(data) = data() else { return };
    let floats = DetectorWeights::open(&file(&data), Computation::Floats).unwrap();
    let mut plan = floats.plan(2).unwrap();
    for golden in photos() {
        let name = golden["photo"].as_str().unwrap();
        let (_, pixels, _) = prepared(&data, &golden);
        let first = plan.detect(&pixels, floats.post_process()).unwrap()[0];
        let expected = boxes(&golden, "optimized_boxes")[0];
        let (score, side) = match name {
            "parrot.jpg" => (0.055, 0.01),
            "grace_hopper.bmp" => (0.01, 0.027),
            _ => (0.01, 0.01),
        };
        assert_eq!(first.class, expected.class, "{name}");
        let close = |a: f32, b: f32, most: f32| (a - b).abs() < most;
        assert!(
            close(first.score, expected.score, score),
            "{name}: {first:?}, {expected:?}"
        );
        let mut sides = first.bounds.iter().zip(expected.bounds);
        assert!(
            sides.all(|(&a, b)| close(a, b, side)),
            "{name}: {first:?}, {expected:?}"
        );
        // In f64, by a plain loop.
        let known = match name {
            "grace_hopper.bmp" => (0.7131, [0.0558, 0.0056, 0.9907, 0.9881]),
            "cat.bmp" => (0.7269, [0.1278, 0.0895, 0.9761, 0.7098]),
            _ => continue,
        };
        assert!(close(first.score, known.0, 1e-4), "{name}: {first:?}");
        let mut sides = first.bounds.iter().zip(known.1);
        assert!(sides.all(|(&a, b)| close(a, b, 1e-4)), "{name}: {first:?}");
    }
}

/// The library's resize is not Pillow's, but as close as said.
#[test]
fn the_photos_preparation_is_within_a_grey_level() {
    let Some(data) = data() else { return };
    let weights =
        DetectorWeights::open(&file(&data), Computation::Integers(Arithmetic::Optimized)).unwrap();
    let photo = open(&data.join("photos/cat.bmp"), DecodeLimits::default()).unwrap();
    let found = weights.preprocessing().pixels(&photo).unwrap();
    let expected = crate::support::squeezed(&photo, 300);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let byte = found * 128.0 + 128.0;
        assert!(
            (byte - f32::from(expected)).abs() < 1.001,
            "{byte}, {expected}"
        );
    }
}
