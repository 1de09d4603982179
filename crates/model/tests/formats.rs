//! Files that frameworks wrote, in every format, through the whole loader, against the logits of
//! that framework. Scripts and versions are beside the golden files.

mod support;

use candle_core::Tensor;
use mobilenet_model::checkpoint::{Checkpoint, LoadOptions, ReadLimits, load, load_with};
use support::{Golden, golden, input, relative_error};

fn logits(checkpoint: &Checkpoint, size: usize) -> Vec<f32> {
    let network = checkpoint.build().unwrap();
    let logits: Tensor = network.forward_t(&input(size, size), false).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

fn check(checkpoint: &Checkpoint, reference: &str, name: &str, size: usize) {
    println!("{}", checkpoint.report);
    assert_eq!(checkpoint.report.applied.len(), 137);
    let expected = Golden::open(reference);
    let error = relative_error(&logits(checkpoint, size), expected.tensor(name));
    println!("{name}: {error:.1e} against {}", expected.framework());
    assert!(error <= 1e-4, "{name}: max relative error {error:e}");
}

const SLIM: &str = "slim_64x64.safetensors";

fn averages() -> LoadOptions {
    LoadOptions {
        averages: true,
        ..LoadOptions::default()
    }
}

/// Of two partitioned variables, moving averages, slots and a counter.
#[test]
fn tensorflow_v2_checkpoint() {
    let checkpoint = load(&golden("slim_v2"), ReadLimits::default()).unwrap();
    check(&checkpoint, SLIM, "logits", 64);
    let report = &checkpoint.report;
    assert!(report.unused.is_empty(), "{report}");
    let counts: Vec<(&str, usize)> = report
        .training
        .iter()
        .map(|(heading, names)| (heading.as_str(), names.len()))
        .collect();
    let expected = [
        ("RMSProp's slots", 2 * 8),
        ("counters", 1),
        ("moving averages", 137),
    ];
    assert_eq!(counts, expected);
    assert!(
        report
            .to_string()
            .contains("of training, RMSProp's slots: 16")
    );
}

#[test]
fn moving_averages_come_where_they_are_asked_for() {
    let checkpoint = load_with(&golden("slim_v2"), &averages()).unwrap();
    check(&checkpoint, SLIM, "logits_of_averages", 64);
    assert_eq!(checkpoint.report.averages(), 137);
    let error = load_with(&golden("slim_v1.ckpt"), &averages()).unwrap_err();
    assert!(error.to_string().contains("no moving averages"), "{error}");
}

#[test]
fn a_tensorflow_checkpoint_has_many_paths() {
    let expected = load(&golden("slim_v2"), ReadLimits::default()).unwrap();
    for path in [
        "slim_v2/model.ckpt-2",
        "slim_v2/model.ckpt-2.index",
        "slim_v2/model.ckpt-2.data-00000-of-00001",
    ] {
        let found = load(&golden(path), ReadLimits::default()).unwrap();
        assert_eq!(found.report, expected.report, "{path}");
    }
}

#[test]
fn tensorflow_v1_checkpoint() {
    let checkpoint = load(&golden("slim_v1.ckpt"), ReadLimits::default()).unwrap();
    check(&checkpoint, SLIM, "logits", 64);
    assert!(checkpoint.report.unused.is_empty());
}

#[test]
fn saved_model_of_tensorflow_1() {
    let checkpoint = load(&golden("slim_saved_model"), ReadLimits::default()).unwrap();
    check(&checkpoint, SLIM, "logits_of_saved_model", 64);
    assert_eq!(checkpoint.metadata.batch_norm_epsilon, 0.002);
}

#[test]
fn numpy_arrays() {
    let checkpoint = load(&golden("slim_variables.npz"), ReadLimits::default()).unwrap();
    check(&checkpoint, SLIM, "logits", 64);
}

/// The object graph gives the names; the epsilon is a constant in a function.
#[test]
fn saved_model_of_tensorflow_2() {
    let checkpoint = load(&golden("keras_saved_model"), ReadLimits::default()).unwrap();
    check(&checkpoint, "keras_64x64.safetensors", "logits", 64);
    assert_eq!(checkpoint.metadata.batch_norm_epsilon, 0.002);
    assert_eq!(checkpoint.report.applied[0].source, "conv1/kernel");
    assert!(checkpoint.report.unused.is_empty());
}

/// Shards, and weights of 8 and 16 bits and of half precision.
#[test]
fn tensorflow_js() {
    for path in ["tfjs", "tfjs/model.json"] {
        let checkpoint = load(&golden(path), ReadLimits::default()).unwrap();
        check(&checkpoint, "keras_64x64.safetensors", "logits_of_tfjs", 64);
        assert!(checkpoint.report.unused.is_empty());
    }
}

/// Nested, from DataParallel, beside averages and an optimiser's state.
#[test]
fn pytorch_before_1_6() {
    let path = golden("timm_legacy.tar");
    let checkpoint = load(&path, ReadLimits::default()).unwrap();
    check(&checkpoint, "timm_64x64.safetensors", "logits", 64);
    let report = &checkpoint.report;
    assert_eq!(
        report.applied[0].source,
        "state_dict.module.conv_stem.weight"
    );
    assert!(report.unused.is_empty(), "{report}");
    assert_eq!(report.training["moving averages"].len(), 137);
    assert_eq!(
        report.training["the optimiser's state"],
        ["optimizer.state.0.momentum_buffer"]
    );
    let checkpoint = load_with(&path, &averages()).unwrap();
    check(
        &checkpoint,
        "timm_64x64.safetensors",
        "logits_of_averages",
        64,
    );
}
