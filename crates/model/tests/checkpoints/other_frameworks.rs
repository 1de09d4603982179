//! Compares logits and activations with those of PyTorch (transformers, timm), Keras and
//! TensorFlow. Scripts and versions are beside the golden files.

use crate::support::{Golden, golden, input, network};
use mobilenet_model::checkpoint::{ReadLimits, load};
use mobilenet_model::{ArgScope, BaseConfig, MobileNetV1Config, PaddingRule};
use mobilenet_ops::{BatchNormConfig, Normalizer};

fn config(width: f64, classes: usize) -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(classes),
        global_pool: true,
        ..MobileNetV1Config::with_width(width)
    }
}

fn check(config: &MobileNetV1Config, file: &str, height: usize, width: usize) {
    let (logits, endpoints) = network(config)
        .forward_endpoints(&input(height, width), false)
        .unwrap();
    Golden::open(file).check(&logits, &endpoints);
}

#[test]
fn hugging_face_width_025_at_128() {
    check(
        &config(0.25, 1001),
        "hugging_face_0.25_128x128.safetensors",
        128,
        128,
    );
}

#[test]
fn hugging_face_width_025_at_75x101() {
    check(
        &config(0.25, 1001),
        "hugging_face_0.25_75x101.safetensors",
        75,
        101,
    );
}

#[test]
fn hugging_face_width_050_at_128() {
    check(
        &config(0.5, 1001),
        "hugging_face_0.5_128x128.safetensors",
        128,
        128,
    );
}

#[test]
fn hugging_face_width_050_at_75x101() {
    check(
        &config(0.5, 1001),
        "hugging_face_0.5_75x101.safetensors",
        75,
        101,
    );
}

/// slim's own pool, with a window of 7x7, equals the global one on maps up to 7x7.
#[test]
fn slims_head_agrees_at_128() {
    let slim = MobileNetV1Config {
        global_pool: false,
        ..config(0.25, 1001)
    };
    check(&slim, "hugging_face_0.25_128x128.safetensors", 128, 128);
}

fn timm() -> MobileNetV1Config {
    let mut config = config(0.25, 1000);
    config.base.padding = PaddingRule::Explicit;
    config.base.arg_scope = ArgScope {
        normalizer: Normalizer::BatchNorm(BatchNormConfig {
            epsilon: 1e-5,
            ..BatchNormConfig::default()
        }),
        ..ArgScope::default()
    };
    config
}

#[test]
fn timm_width_025_at_128() {
    check(&timm(), "timm_0.25_128x128.safetensors", 128, 128);
}

#[test]
fn timm_width_025_at_75x101() {
    check(&timm(), "timm_0.25_75x101.safetensors", 75, 101);
}

fn keras() -> MobileNetV1Config {
    let config = config(0.25, 1000);
    let base = BaseConfig {
        padding: PaddingRule::Keras,
        ..config.base.clone()
    };
    MobileNetV1Config { base, ..config }
}

#[test]
fn keras_width_025_at_128() {
    check(&keras(), "keras_0.25_128x128.safetensors", 128, 128);
}

#[test]
fn keras_width_025_at_75x101() {
    check(&keras(), "keras_0.25_75x101.safetensors", 75, 101);
}

#[test]
fn keras_channel_multiplier_2() {
    let mut config = keras();
    config.base.channel_multiplier = 2;
    check(&config, "keras_0.25_multiplier2_96x96.safetensors", 96, 96);
}

/// Loads a file that a framework wrote, and compares the output with the framework's.
fn check_file(file: &str, expected: &str) {
    let checkpoint = load(&golden(file), ReadLimits::default()).unwrap();
    println!("{file}: {}", checkpoint.report);
    assert_eq!(checkpoint.report.applied.len(), 137);
    let network = checkpoint.build().unwrap();
    let (logits, endpoints) = network.forward_endpoints(&input(96, 96), false).unwrap();
    Golden::open(expected).check(&logits, &endpoints);
}

#[test]
fn file_of_hugging_face_safetensors() {
    check_file(
        "hugging_face_tiny/model.safetensors",
        "hugging_face_tiny_96x96.safetensors",
    );
}

#[test]
fn folder_of_hugging_face() {
    check_file("hugging_face_tiny", "hugging_face_tiny_96x96.safetensors");
}

#[test]
fn file_of_hugging_face_pytorch() {
    check_file(
        "hugging_face_tiny.bin",
        "hugging_face_tiny_96x96.safetensors",
    );
}

#[test]
fn file_of_timm_safetensors() {
    check_file("timm_tiny.safetensors", "timm_tiny_96x96.safetensors");
}

#[test]
fn file_of_timm_pytorch() {
    check_file("timm_tiny.pth", "timm_tiny_96x96.safetensors");
}

#[test]
fn file_of_keras_names() {
    check_file("keras_tiny.safetensors", "keras_tiny_96x96.safetensors");
}

#[test]
fn file_of_tensorflow_graph_with_decomposed_batch_norm() {
    check_file("slim_tiny.pb", "slim_tiny_96x96.safetensors");
}

#[test]
fn file_of_tensorflow_graph_with_fused_batch_norm() {
    check_file("slim_tiny_fused.pb", "slim_tiny_fused_96x96.safetensors");
}
