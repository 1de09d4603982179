//! Quantised ONNX files in integers, against ONNX Runtime's answers: `golden/onnx_integers.py`.

use crate::small_networks::integer_networks;
use crate::support::Archive;
use mobilenet_kernels::integer::{IntegerLayer, IntegerOperation};
use mobilenet_model::checkpoint::{
    ReadLimits, is_quantized, load, load_quantized, save_integer_onnx,
};
use mobilenet_model::quantized::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOutput, IntegerPlan, IntegerPlanOptions,
    IntegerPlanOutput, QuantizedWeights,
};

const IMAGES: usize = 32;
const CLASSES: usize = 10;

/// The images of the script.
fn images() -> Vec<f32> {
    let byte = |i: u32| i.wrapping_mul(2_654_435_761) >> 24;
    let count = (IMAGES * 64 * 64 * 3) as u32;
    (0..count).map(|i| byte(i) as f32 / 127.5 - 1.0).collect()
}

fn answers(network: IntegerNetwork, output: IntegerPlanOutput, images: &[f32]) -> Vec<f32> {
    let weights = QuantizedWeights::new(network, Arithmetic::Xnnpack).unwrap();
    let options = IntegerPlanOptions {
        output,
        ..IntegerPlanOptions::new(&weights, 1)
    };
    let mut plan = IntegerPlan::new(&weights, &options).unwrap();
    let mut answers = vec![0.0; images.len() / plan.input_len() * plan.output_len()];
    plan.run(
        &IntegerImages::F32(images),
        IntegerOutput::F32(&mut answers),
    )
    .unwrap();
    answers
}

/// Number of answers that differ from ONNX Runtime's, and the largest difference in steps of the
/// output's scale. It rounds the mean of the last map in another way.
#[test]
fn answers_are_those_of_onnx_runtime() {
    let mut archive = Archive::open("onnx_integers.zip");
    let images = images();
    for (name, most_differing, most_steps) in [
        ("qdq_u8s8_channel", 0, 0.0),
        ("qdq_s8s8_channel", 0, 0.0),
        ("qdq_u8u8_softmax", 27, 1.0),
        ("operators_u8s8_channel", 0, 0.0),
        ("operators_u8u8", 0, 0.0),
        ("operators_s8s8_softmax", 0, 0.0),
    ] {
        let file = archive.extract(&format!("{name}.onnx"));
        assert!(is_quantized(file.path(), ReadLimits::default()).unwrap());
        let quantized = load_quantized(file.path(), ReadLimits::default()).unwrap();
        assert_eq!(quantized.metadata.width, 1.0 / 16.0, "{name}");
        let found = answers(quantized.network, IntegerPlanOutput::Own, &images);
        let bytes = archive.read(&format!("{name}.f32"));
        let (chunks, _) = bytes.as_chunks::<4>();
        let expected: Vec<f32> = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(found.len(), IMAGES * CLASSES);
        assert_eq!(expected.len(), found.len());
        let mut steps: Vec<f32> = expected.iter().copied().filter(|v| *v != 0.0).collect();
        steps.sort_by(f32::total_cmp);
        let gaps = steps.windows(2).map(|pair| pair[1] - pair[0]);
        let step = gaps.filter(|gap| *gap > 1e-4).fold(f32::INFINITY, f32::min);
        let differences = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs() / step);
        let differing = differences.clone().filter(|d| *d > 0.01).count();
        let largest = differences.fold(0.0, f32::max).round();
        println!(
            "{name}: {differing} of {} differ, by up to {largest}",
            found.len()
        );
        assert!(
            differing <= most_differing && largest <= most_steps,
            "{name}: {differing} differ, by up to {largest}"
        );
    }
}

/// Also as numbers, where ONNX Runtime's own operators are read as what they mean.
#[test]
fn files_mean_the_same_as_numbers() {
    let mut archive = Archive::open("onnx_integers.zip");
    for [nodes, operators] in [
        ["qdq_u8s8_channel", "operators_u8s8_channel"],
        ["qdq_s8s8_channel", "operators_s8s8_softmax"],
    ] {
        let [a, b] = [nodes, operators].map(|name| {
            let file = archive.extract(&format!("{name}.onnx"));
            load(file.path(), ReadLimits::default()).unwrap()
        });
        assert_eq!(a.parameters.len(), b.parameters.len());
        assert!(a.report.unused.is_empty(), "{}", a.report);
        assert!(b.report.unused.is_empty(), "{}", b.report);
        if nodes.ends_with("u8s8_channel") {
            assert_eq!(a.parameters, b.parameters);
        }
    }
}

/// What we write comes back: all but the softmax, which ONNX leaves to the reader.
#[test]
fn our_files_hold_the_same_integers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.onnx");
    // Another operator for the classifier; and a pool that is smaller than the map.
    let others = ["fully_connected", "window", "features"];
    for (name, network, metadata) in integer_networks() {
        if others.contains(&name) {
            continue;
        }
        save_integer_onnx(&path, &network, &metadata).unwrap();
        let found = load_quantized(&path, ReadLimits::default()).unwrap();
        assert_eq!(found.metadata, metadata);
        assert_eq!(found.network.input_shape, network.input_shape);
        let convolutions = |network: &IntegerNetwork| -> Vec<IntegerLayer> {
            let layers = network.layers.iter().cloned();
            layers
                .filter(|layer| matches!(layer.operation, IntegerOperation::Convolution(_)))
                .collect()
        };
        let (ours, expected) = (convolutions(&found.network), convolutions(&network));
        assert_eq!(ours.len(), 28);
        for (ours, expected) in ours.iter().zip(&expected) {
            assert_eq!((&ours.name, ours.output), (&expected.name, expected.output));
        }
        let [rows, columns, channels] = network.input_shape;
        let image: Vec<f32> = (0..rows * columns * channels)
            .map(|i| ((i * 37 % 256) as f32 - 128.0) / 128.0)
            .collect();
        let logits = |network| answers(network, IntegerPlanOutput::Logits, &image);
        assert_eq!(logits(found.network), logits(network), "{name}");
    }
}
