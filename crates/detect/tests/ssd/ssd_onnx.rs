//! The SSD of random weights as tf2onnx writes it, against ONNX Runtime (`golden/ssd_onnx.py`).

use std::path::Path;

use mobilenet_detect::graph::SsdGraph;
use mobilenet_detect::{
    Computation, DetectError, Detection, DetectorWeights, PostProcess, UnpackedFloats,
};
use mobilenet_model::checkpoint::{ReadLimits, load_tensors};

use crate::ssd_graph::{SIDE, golden, uniform};

/// The graph that tf2onnx makes of such an SSD, against ONNX Runtime (`golden/ssd_onnx.py`): the
/// convolutions' numbers, and the boxes of the suppression in the graph.
#[test]
fn the_graph_in_onnx() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ssd_onnx.onnx");
    let golden = |name| golden(include_bytes!("../golden/ssd_onnx.safetensors"), name);
    let tensors = load_tensors(&path, ReadLimits::default()).unwrap();
    let ssd = SsdGraph::find("ssd", &tensors).unwrap().unwrap();
    let config = ssd.config([SIDE; 2]).unwrap();
    assert_eq!((config.width, config.classes), (1.0 / 16.0, 3));
    let weights = DetectorWeights::floats(UnpackedFloats::graph(&ssd, &config).unwrap()).unwrap();
    let preprocessing = weights.preprocessing();
    for half in preprocessing.mean.iter().chain(&preprocessing.std) {
        assert!((half - 0.5).abs() < 1e-6, "{half}");
    }
    let image: Vec<f32> = uniform("input", 3 * SIDE * SIDE)
        .map(|value| f32::from(((value + 1.0) * 127.99) as u8) * 2.0 / 255.0 - 1.0)
        .collect();
    let mut plan = weights.plan(2).unwrap();
    let found = plan.predict(&image).unwrap();
    for (found, name) in found.iter().zip(["encodings", "scores"]) {
        let expected = golden(name);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-4,
                "{name}: {found}, {expected}"
            );
        }
    }
    let rule = PostProcess {
        score: 0.3,
        ..weights.post_process().clone()
    };
    let found = plan.detect(&image, &rule).unwrap();
    let [boxes, scores, classes] =
        ["detection_boxes", "detection_scores", "detection_classes"].map(golden);
    assert_eq!(found.len(), scores.len());
    let expected = boxes
        .as_chunks::<4>()
        .0
        .iter()
        .zip(scores.iter().zip(&classes));
    // Scores that are almost equal may change places.
    let is_there = |found: &Detection| {
        let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
        expected.clone().any(|(corners, (&score, &class))| {
            let sides = found.bounds.iter().zip(corners);
            class == (found.class + weights.first_class()) as f32
                && near(found.score, score)
                && sides.into_iter().all(|(&a, &b)| near(a, b))
        })
    };
    assert!(found.iter().all(is_there), "{found:?}");

    // The converter has computed paddings for images of 160 pixels, which do not fit 300.
    let other = DetectorWeights::open(&path, Computation::default()).unwrap_err();
    assert!(other.to_string().contains("numbers of boxes"), "{other}");
    // Broken files are errors or other numbers, never a panic.
    let bytes = std::fs::read(&path).unwrap();
    let broken = std::env::temp_dir().join(format!("ssd_{}.onnx", std::process::id()));
    let open = |bytes: &[u8]| {
        std::fs::write(&broken, bytes).unwrap();
        let tensors = load_tensors(&broken, ReadLimits::default())?;
        let ssd = SsdGraph::find("ssd", &tensors)?;
        let ssd = ssd.ok_or(DetectError::Missing { name: "ssd".into() })?;
        DetectorWeights::floats(UnpackedFloats::graph(&ssd, &ssd.config([SIDE; 2])?)?)
    };
    assert!(open(&bytes).is_ok());
    let errors = (0..40_000).step_by(1_009).filter(|&at| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x21;
        open(&bytes).is_err()
    });
    assert!(errors.count() > 0);
    std::fs::remove_file(&broken).unwrap();
}
