//! Loads files that Keras wrote, and compares the logits with Keras' own.

use crate::support::{Archive, Golden, contrasting_images, relative_error};
use mobilenet_model::PaddingRule;
use mobilenet_model::checkpoint::{Checkpoint, ReadLimits, SavedActivation, load};
use mobilenet_model::preprocess::Preprocessing;

fn check(name: &str, network: &str, applied: usize) -> Checkpoint {
    let file = Archive::open("keras_files.zip").extract(name);
    let checkpoint = load(file.path(), ReadLimits::default()).unwrap();
    println!("{name}: {}", checkpoint.report);
    assert_eq!(checkpoint.report.applied.len(), applied);
    assert!(checkpoint.report.unused.is_empty());
    let logits = checkpoint
        .build()
        .unwrap()
        .forward_t(&contrasting_images(), false)
        .unwrap();
    let found: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
    let golden = Golden::open("keras_files.safetensors");
    let error = relative_error(&found, golden.tensor(network));
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
    assert_eq!(metadata.activation, SavedActivation::Relu6);
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

/// The network also has biases before batch normalisation, which are 27 more tensors.
#[test]
fn network_without_layer_names() {
    let metadata = check("hand_written.keras", "hand_written", 137 + 27).metadata;
    assert_eq!(metadata.padding, PaddingRule::Same);
    assert_eq!(metadata.activation, SavedActivation::Relu);
    assert_eq!(metadata.batch_norm_epsilon, 2e-3);
    assert_eq!(metadata.preprocessing, Preprocessing::unit(96));
    assert_eq!(metadata.classes, Some(3));
}

/// The first layer gives the range of pixels.
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
