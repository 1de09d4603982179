//! A detector in the browser's module predicts what it predicts natively, and a broken description is
//! an error.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenet_detect::floats::{FloatDetectorPlan, FloatNetwork, FloatWeights};
use mobilenet_detect::integers::{IntegerDetectorPlan, IntegerWeights};
use mobilenet_detect::tflite::{FloatDetector, Joint, QuantizedDetector};
use mobilenet_kernels::integer::{Arithmetic, IntegerImages, IntegerOperation, Integers};
use mobilenet_model::checkpoint::ReadLimits;
use mobilenet_model::checkpoint::readers::{read_branches, read_float_branches};
use mobilenet_web::write::{self, FloatBranch};
use mobilenet_web::{Module, WebError};

fn golden(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../detect/tests/golden");
    folder.join(name)
}

fn detector() -> QuantizedDetector {
    let bytes = std::fs::read(golden("tiny_ssd.tflite")).unwrap();
    QuantizedDetector::new(read_branches(&bytes, ReadLimits::default()).unwrap()).unwrap()
}

fn description(detector: &QuantizedDetector) -> Vec<u32> {
    let QuantizedDetector {
        chain,
        branches,
        boxes,
        scores,
        ..
    } = detector;
    let joined = [boxes, scores].map(|joint| joint.branches.as_slice());
    write::integer_detector(chain, Arithmetic::Xnnpack, branches, joined)
}

/// The bytes of each convolution, in order.
fn layers(detector: &QuantizedDetector) -> Vec<Vec<u8>> {
    let bytes = |operation: &IntegerOperation| {
        let IntegerOperation::Convolution(convolution) = operation else {
            return None;
        };
        let weights = &convolution.weights;
        let mut bytes: Vec<u8> = Vec::new();
        bytes.extend(convolution.bias.iter().flat_map(|bias| bias.to_le_bytes()));
        bytes.extend(weights.scales.iter().flat_map(|scale| scale.to_le_bytes()));
        bytes.extend(
            weights
                .zero_points
                .iter()
                .flat_map(|zero| zero.to_le_bytes()),
        );
        match &weights.values {
            Integers::U8(values) => bytes.extend(values),
            Integers::I8(values) => bytes.extend(values.iter().map(|&value| value as u8)),
        }
        Some(bytes)
    };
    let chain = detector.chain.layers.iter();
    let mut all: Vec<Vec<u8>> = chain.filter_map(|layer| bytes(&layer.operation)).collect();
    for (index, branch) in detector.branches.iter().enumerate() {
        let numbers = |joint: &Joint| {
            let place = joint.branches.iter().position(|&other| other == index)?;
            let table = joint.tables[place];
            Some(table.map(|byte| joint.numbers()[usize::from(byte)]))
        };
        let numbers = numbers(&detector.boxes).or_else(|| numbers(&detector.scores));
        let mut bytes = bytes(&branch.layer.operation).unwrap();
        bytes.extend(
            numbers
                .unwrap()
                .iter()
                .flat_map(|number| number.to_le_bytes()),
        );
        all.push(bytes);
    }
    all
}

fn put(module: &mut Module, bytes: &[u8]) {
    module.scratch(bytes.len()).unwrap().copy_from_slice(bytes);
}

fn load(words: &[u32], layers: &[Vec<u8>]) -> Result<Module, WebError> {
    let mut module = Module::new();
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    put(&mut module, &words);
    module.open(layers.iter().map(Vec::len).sum())?;
    for layer in layers {
        put(&mut module, layer);
        module.layer(0)?;
    }
    module.plan(1)?;
    Ok(module)
}

/// An image for a module, which has run.
fn run(module: &mut Module) -> Vec<f32> {
    let length = module.input().len();
    let image: Vec<f32> = (0..length)
        .map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect();
    module.input().copy_from_slice(&image);
    module.run().unwrap();
    image
}

#[test]
fn predicts_what_the_native_plan_predicts() {
    let detector = detector();
    let mut module = load(&description(&detector), &layers(&detector)).unwrap();
    let image = run(&mut module);
    let anchors = detector.rules.anchors.len();
    let joints = [detector.boxes, detector.scores];
    let arithmetic = Arithmetic::Xnnpack;
    let weights =
        IntegerWeights::new(detector.chain, detector.branches, joints, arithmetic).unwrap();
    let mut plan = IntegerDetectorPlan::new(Arc::new(weights), anchors, 1).unwrap();
    let [boxes, scores] = plan.run(&IntegerImages::F32(&image)).unwrap();
    assert_eq!(module.features(), boxes);
    assert_eq!(module.logits(), scores);
    assert!(scores.iter().any(|&score| score != scores[0]));
}

/// The description of a detector in f32, its layers' bytes, and the detector.
fn float_detector() -> (Vec<u32>, Vec<Vec<u8>>, FloatNetwork) {
    let bytes = std::fs::read(golden("tiny_ssd_float.tflite")).unwrap();
    let network = read_float_branches(&bytes, ReadLimits::default()).unwrap();
    let network = FloatDetector::new(network).unwrap().network;
    let shapes: Vec<_> = network.layers.iter().map(|layer| layer.shape).collect();
    let branches = network.predictors.iter().map(|one| FloatBranch {
        reads: one.reads,
        cell: [&one.boxes, &one.scores].map(|layer| layer.shape.out_channels),
        geometry: one.boxes.shape.geometry,
    });
    let branches: Vec<_> = branches.collect();
    let [rows, columns] = network.size;
    let words = write::float_detector([rows, columns, 3], &shapes, &branches);
    let joints: Vec<_> = network.predictors.iter().map(|one| one.joint()).collect();
    let layers = network.layers.iter().chain(&joints).map(|layer| {
        let numbers = layer.bias.iter().chain(&layer.weights);
        numbers.flat_map(|number| number.to_le_bytes()).collect()
    });
    let layers = layers.collect();
    (words, layers, network)
}

#[test]
fn predicts_in_f32_what_the_native_plan_predicts() {
    let (words, layers, network) = float_detector();
    let mut module = load(&words, &layers).unwrap();
    let image = run(&mut module);
    let anchors = module.features().len() / 4;
    let weights = FloatWeights::new(&network).unwrap();
    let mut plan = FloatDetectorPlan::new(Arc::new(weights), anchors, 1).unwrap();
    let [boxes, scores] = plan.run(&image).unwrap();
    assert_eq!(module.features(), boxes);
    assert_eq!(module.logits(), scores);
    assert!(scores.iter().any(|&score| score != scores[0]));
}

#[test]
fn every_changed_word_is_an_error_or_a_network() {
    let detector = detector();
    change_every_word(&description(&detector), &layers(&detector));
    let (words, layers, _) = float_detector();
    change_every_word(&words, &layers);
}

fn change_every_word(words: &[u32], layers: &[Vec<u8>]) {
    let mut refused = 0;
    for at in 0..words.len() {
        for value in [0, 1, 1 << 20, u32::MAX] {
            let mut changed = words.to_vec();
            changed[at] = value;
            match load(&changed, layers) {
                Ok(mut module) => module.run().unwrap(),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        assert!(
            load(&words[..at], layers).is_err(),
            "a description of {at} words"
        );
    }
    assert!(refused > words.len(), "{refused}");
}
