//! A detector in the browser's module predicts what it predicts natively, and a broken description is
//! an error.

use std::sync::Arc;

use mobilenet_detect::integers::{IntegerDetectorPlan, IntegerWeights};
use mobilenet_detect::tflite::{Joint, QuantizedDetector};
use mobilenet_kernels::integer::{Arithmetic, IntegerImages, IntegerOperation, Integers};
use mobilenet_model::checkpoint::ReadLimits;
use mobilenet_model::checkpoint::readers::read_branches;
use mobilenet_web::{Module, WebError, write};

fn detector() -> QuantizedDetector {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../detect/tests/golden/tiny_ssd.tflite"
    );
    let bytes = std::fs::read(path).unwrap();
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

#[test]
fn predicts_what_the_native_plan_predicts() {
    let detector = detector();
    let mut module = load(&description(&detector), &layers(&detector)).unwrap();
    let length = module.input().len();
    let image: Vec<f32> = (0..length)
        .map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect();
    module.input().copy_from_slice(&image);
    module.run().unwrap();

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

#[test]
fn every_changed_word_is_an_error_or_a_network() {
    let detector = detector();
    let (words, layers) = (description(&detector), layers(&detector));
    let mut refused = 0;
    for at in 0..words.len() {
        for value in [0, 1, 1 << 20, u32::MAX] {
            let mut changed = words.clone();
            changed[at] = value;
            match load(&changed, &layers) {
                Ok(mut module) => module.run().unwrap(),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        assert!(
            load(&words[..at], &layers).is_err(),
            "a description of {at} words"
        );
    }
    assert!(refused > words.len(), "{refused}");
}
