//! Loads ONNX and TFLite files that PyTorch's and TensorFlow's exporters wrote, and compares the
//! logits with those frameworks'. Also reads our own export.

use std::io::{Cursor, Seek, SeekFrom, Write};

use crate::support::{Archive, Golden, contrasting_images, golden, relative_error};
use candle_core::Tensor;
use mobilenet_model::PaddingRule;
use mobilenet_model::checkpoint::{Checkpoint, ReadLimits, SavedActivation, load, save_onnx};
use mobilenet_model::labels::Labels;
use zip::write::SimpleFileOptions;

fn logits(checkpoint: &Checkpoint, images: &Tensor) -> Vec<f32> {
    let network = checkpoint.build().unwrap();
    let logits = network.forward_t(images, false).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

/// Loads a file of an archive and compares its logits with a stored result.
fn check(archive: &str, name: &str, result: &str) -> Checkpoint {
    let file = Archive::open(&format!("{archive}.zip")).extract(name);
    let checkpoint = load(file.path(), ReadLimits::default()).unwrap();
    println!("{name}: {}", checkpoint.report);
    assert!(checkpoint.report.unused.is_empty());
    let golden = Golden::open(&format!("{archive}.safetensors"));
    let found = logits(&checkpoint, &contrasting_images());
    let error = relative_error(&found, golden.tensor(result));
    println!("{name}: {error:.1e} against {}", golden.framework());
    assert!(error <= 1e-4, "{name}: {error:e}");
    assert_eq!(checkpoint.metadata.preprocessing.size, [96, 96]);
    assert_eq!(checkpoint.metadata.activation, SavedActivation::Relu6);
    checkpoint
}

#[test]
fn onnx_of_transformers_with_batch_norm_nodes() {
    let metadata = check("onnx_files", "hugging_face.onnx", "hugging_face").metadata;
    assert_eq!(metadata.padding, PaddingRule::Same);
    assert_eq!(metadata.batch_norm_epsilon, 1e-3);
    assert!(!metadata.folded);
}

#[test]
fn onnx_of_transformers_folded() {
    let metadata = check("onnx_files", "hugging_face_folded.onnx", "hugging_face").metadata;
    assert_eq!(metadata.padding, PaddingRule::Same);
    assert!(metadata.folded);
}

#[test]
fn onnx_of_timm_with_batch_norm_nodes() {
    let metadata = check("onnx_files", "timm.onnx", "timm").metadata;
    assert_eq!(metadata.padding, PaddingRule::Explicit);
    assert_eq!(metadata.batch_norm_epsilon, 1e-5);
}

#[test]
fn onnx_of_timm_by_the_new_exporter() {
    let metadata = check("onnx_files", "timm_dynamo.onnx", "timm").metadata;
    assert_eq!(metadata.padding, PaddingRule::Explicit);
    assert!(metadata.folded);
}

/// TensorFlow's converter writes Keras' padding as SAME if the two are equal, as here.
#[test]
fn tflite_in_single_and_half_precision() {
    for name in ["float.tflite", "float16.tflite"] {
        let metadata = check("tflite_files", name, name).metadata;
        assert_eq!(metadata.padding, PaddingRule::Same);
        assert!(metadata.folded);
    }
}

/// The converter saw only the two images, so the input's range is that of the images.
#[test]
fn tflite_quantised() {
    for name in ["int8.tflite", "uint8_input.tflite"] {
        let checkpoint = check("tflite_files", name, name);
        let preprocessing = &checkpoint.metadata.preprocessing;
        assert!(relative_error(&preprocessing.mean, &[0.5; 3]) < 0.01);
        assert!(relative_error(&preprocessing.std, &[0.5; 3]) < 0.01);
        assert!(checkpoint.report.assumed.is_empty());
    }
}

/// The labels are in a zip behind the model, as TFLite's metadata library writes them.
#[test]
fn tflite_with_labels() {
    let mut bytes = Cursor::new(Archive::open("tflite_files.zip").read("int8.tflite"));
    bytes.seek(SeekFrom::End(0)).unwrap();
    let names = [
        "ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay",
    ];
    let mut archive = zip::ZipWriter::new(&mut bytes);
    let options = SimpleFileOptions::default();
    archive.start_file("labels.txt", options).unwrap();
    archive.write_all(names.join("\n").as_bytes()).unwrap();
    archive.finish().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes.get_ref()).unwrap();
    let labels = load(file.path(), ReadLimits::default())
        .unwrap()
        .metadata
        .labels;
    assert_eq!(labels, Labels::Names(names.map(String::from).to_vec()));
}

#[test]
fn our_own_onnx_comes_back() {
    let images = contrasting_images();
    let folder = tempfile::tempdir().unwrap();
    for name in ["slim_tiny.pb", "timm_tiny.pth", "keras_tiny.safetensors"] {
        let mut original = load(&golden(name), ReadLimits::default()).unwrap();
        original.metadata.preprocessing.size = [96, 96];
        let expected = logits(&original, &images);
        for folded in [false, true] {
            let written = match folded {
                true => original.clone().fold().unwrap(),
                false => original.clone(),
            };
            let path = folder.path().join("model.onnx");
            save_onnx(&path, &written).unwrap();
            let loaded = load(&path, ReadLimits::default()).unwrap();
            assert_eq!(loaded.metadata, written.metadata);
            assert_eq!(loaded.report.applied.len(), written.parameters.len());
            let error = relative_error(&logits(&loaded, &images), &expected);
            println!("{name}, folded {folded}: {error:.1e}");
            assert!(error <= 1e-5, "{name}: {error:e}");
        }
    }
}

/// Writes files that `golden/onnx_export.py` runs in ONNX Runtime.
#[test]
#[ignore = "writes files for a Python script"]
fn onnx_for_the_runtime() {
    let folder = tempfile::tempdir().unwrap().keep();
    for (file, name) in [
        ("slim_tiny.pb", "slim_tiny"),
        ("timm_tiny.pth", "timm_tiny"),
        ("keras_tiny.safetensors", "keras_tiny"),
        ("hugging_face_tiny", "hugging_face_tiny"),
    ] {
        let mut checkpoint = load(&golden(file), ReadLimits::default()).unwrap();
        checkpoint.metadata.preprocessing.size = [96, 96];
        save_onnx(&folder.join(format!("{name}.onnx")), &checkpoint).unwrap();
        let folded = checkpoint.fold().unwrap();
        save_onnx(&folder.join(format!("{name}_folded.onnx")), &folded).unwrap();
    }
    println!("{}", folder.display());
}

#[test]
fn a_head_that_onnx_cannot_say_is_an_error() {
    let mut slim = load(&golden("slim_tiny.pb"), ReadLimits::default()).unwrap();
    slim.metadata.preprocessing.size = [288, 288];
    let folder = tempfile::tempdir().unwrap();
    let error = save_onnx(&folder.path().join("a.onnx"), &slim).unwrap_err();
    assert!(error.to_string().contains("9, 9"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
