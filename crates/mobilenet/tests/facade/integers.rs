//! The facade runs a quantised file in its integers without being told.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use mobilenet::model::Head;
use mobilenet::model::checkpoint::{ReadLimits, load, load_integers};
use mobilenet::model::quantized::{
    Arithmetic, IntegerImages, IntegerOutput, IntegerPlan, IntegerPlanOptions, IntegerPlanOutput,
    QuantizedWeights,
};
use mobilenet::{Classifier, Engine};
use zip::ZipArchive;

#[test]
fn a_quantised_file_runs_in_integers() {
    let golden = "../model/tests/golden/tflite_files.zip";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    let mut archive = ZipArchive::new(File::open(golden).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut file = archive.by_name("int8.tflite").unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("int8.tflite");
    std::fs::write(&path, bytes).unwrap();

    let pixels: Vec<f32> = (0..96 * 96 * 3)
        .map(|i| (i % 200) as f32 / 100.0 - 1.0)
        .collect();
    let integers = load_integers(&path, ReadLimits::default()).unwrap();
    let weights = QuantizedWeights::new(integers, Arithmetic::Xnnpack).unwrap();
    let options = IntegerPlanOptions {
        output: IntegerPlanOutput::Logits,
        ..IntegerPlanOptions::new(&weights, 1)
    };
    let mut plan = IntegerPlan::new(&weights, &options).unwrap();
    let mut logits = vec![0.0; 10];
    let images = IntegerImages::F32(&pixels);
    plan.run(&images, IntegerOutput::F32(&mut logits)).unwrap();
    let expected = Head::Classes.mean_probabilities(&logits, 10);

    let classifier = Classifier::open(&path).unwrap();
    let found = classifier.classify_pixels(&pixels, 10).unwrap();
    assert_eq!(found.len(), 10);
    for prediction in found {
        let expected = expected[prediction.class] as f32;
        assert_eq!(prediction.probability, expected);
    }

    let checkpoint = load(&path, ReadLimits::default()).unwrap();
    let dequantised = Classifier::from_checkpoint(checkpoint, Engine::default()).unwrap();
    let found = dequantised.classify_pixels(&pixels, 1).unwrap();
    assert_ne!(found[0].probability, expected[found[0].class] as f32);
}
