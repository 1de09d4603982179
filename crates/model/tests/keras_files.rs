//! Files that Keras wrote, through the whole loader, against Keras' own logits.

mod support;

use std::io::{Cursor, Read};
use std::path::PathBuf;

use candle_core::{IndexOp, Tensor};
use mobilenet_model::PaddingRule;
use mobilenet_model::checkpoint::{Activation, Checkpoint, ReadLimits, load};
use mobilenet_model::preprocess::Preprocessing;
use support::{Golden, golden, input, relative_error};
use tempfile::TempDir;

/// A file of the archive, in a folder that lasts as long as the test.
fn file(name: &str) -> (TempDir, PathBuf) {
    let archive = std::fs::read(golden("keras_files.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut bytes = Vec::new();
    let mut entry = archive.by_name(name).unwrap();
    entry.read_to_end(&mut bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Formats are recognised by content.
    let path = folder.path().join("weights");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// The formula's images, the second one brighter and flatter.
fn images() -> Tensor {
    let images = input(96, 96);
    let second = (images.i(1..).unwrap() / 4.0).unwrap();
    let second = (second + 0.5).unwrap();
    Tensor::cat(&[&images.i(..1).unwrap(), &second], 0).unwrap()
}

fn check(name: &str, network: &str, applied: usize) -> Checkpoint {
    let (_folder, path) = file(name);
    let checkpoint = load(&path, ReadLimits::default()).unwrap();
    println!("{name}: {}", checkpoint.report);
    assert_eq!(checkpoint.report.applied.len(), applied);
    assert!(checkpoint.report.unused.is_empty());
    let logits = checkpoint
        .build()
        .unwrap()
        .forward_t(&images(), false)
        .unwrap();
    let found: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
    let golden = Golden::open("keras_files.safetensors");
    let error = relative_error(&found, golden.values(network));
    println!("{name}: {error:.1e} against {}", golden.framework());
    assert!(error <= 1e-4, "{name}: {error:e}");
    checkpoint
}

#[test]
fn whole_model_in_hdf5() {
    let Checkpoint {
        metadata, report, ..
    } = check("tiny.h5", "tiny", 137);
    assert_eq!(metadata.padding, PaddingRule::Keras);
    assert_eq!(metadata.activation, Activation::Relu6);
    assert_eq!(metadata.preprocessing, Preprocessing::plain(96));
    assert_eq!(report.assumed.len(), 1);
}

#[test]
fn weights_of_keras_2_chunked_and_compressed() {
    check("compressed_weights.h5", "tiny", 137);
}

#[test]
fn weights_of_keras_3() {
    check("tiny.weights.h5", "tiny", 137);
}

/// Its biases beside batch normalisation are 27 more tensors that are applied.
#[test]
fn network_without_layer_names() {
    for name in ["hand_written.h5", "hand_written.keras"] {
        let metadata = check(name, "hand_written", 137 + 27).metadata;
        assert_eq!(metadata.padding, PaddingRule::Same);
        assert_eq!(metadata.activation, Activation::Relu);
        assert_eq!(metadata.batch_norm_epsilon, 2e-3);
        assert_eq!(metadata.preprocessing, Preprocessing::unit(96));
        assert_eq!(metadata.classes, Some(3));
    }
}

/// Its first layer says what range of pixels it wants.
#[test]
fn network_inside_a_network() {
    for name in ["transfer.h5", "transfer.keras"] {
        let Checkpoint {
            metadata, report, ..
        } = check(name, "transfer", 137);
        let Preprocessing { mean, std, .. } = &metadata.preprocessing;
        assert!(relative_error(mean, &[0.5; 3]) < 1e-6, "{mean:?}");
        assert!(relative_error(std, &[0.5; 3]) < 1e-6, "{std:?}");
        assert!(report.assumed.is_empty());
    }
}
