//! Loads files that frameworks wrote, in every format, and compares the logits with those of the
//! framework. Scripts and versions are beside the golden files.

use std::collections::HashMap;

use crate::support::{Golden, golden, input, relative_error};
use candle_core::{Device, Tensor};
use mobilenet_model::checkpoint::{
    Checkpoint, Framework, LoadOptions, ReadLimits, WeightsDtype, load, load_tensors, load_with,
    save_as,
};

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

/// The checkpoint contains two partitioned variables, moving averages, slots and a counter.
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

/// The names come from the object graph, and the epsilon from a constant in a function.
#[test]
fn saved_model_of_tensorflow_2() {
    let checkpoint = load(&golden("keras_saved_model"), ReadLimits::default()).unwrap();
    check(&checkpoint, "keras_64x64.safetensors", "logits", 64);
    assert_eq!(checkpoint.metadata.batch_norm_epsilon, 0.002);
    assert_eq!(checkpoint.report.applied[0].source, "conv1/kernel");
    assert!(checkpoint.report.unused.is_empty());
}

/// The file has shards, and weights of 8 bits, 16 bits and half precision.
#[test]
fn tensorflow_js() {
    for path in ["tfjs", "tfjs/model.json"] {
        let checkpoint = load(&golden(path), ReadLimits::default()).unwrap();
        check(&checkpoint, "keras_64x64.safetensors", "logits_of_tfjs", 64);
        assert!(checkpoint.report.unused.is_empty());
    }
}

/// Older files of TensorFlow.js are the manifest alone.
#[test]
fn tensorflow_js_manifest() {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(golden("tfjs")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let model = std::fs::read(golden("tfjs/model.json")).unwrap();
    let model: serde_json::Value = serde_json::from_slice(&model).unwrap();
    let manifest = folder.path().join("weights_manifest.json");
    std::fs::write(&manifest, model["weightsManifest"].to_string()).unwrap();
    let limits = ReadLimits::default();
    let found = load_tensors(&manifest, limits).unwrap().tensors;
    let expected = load_tensors(&golden("tfjs"), limits).unwrap().tensors;
    assert!(found.len() > 100 && found.keys().eq(expected.keys()));
    for (name, tensor) in found {
        assert_eq!(tensor.to_f32(), expected[&name].to_f32(), "{name}");
    }
    std::fs::write(&manifest, r#"[{"weights": [], "paths": 5}]"#).unwrap();
    let error = load_tensors(&manifest, limits).unwrap_err().to_string();
    assert!(error.contains("weights_manifest.json"), "{error}");
}

/// The weights are nested and come from DataParallel. The file also has averages and an optimiser's
/// state.
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

type Tensors = HashMap<String, Tensor>;

fn write(folder: &tempfile::TempDir, name: &str, tensors: &Tensors) -> std::path::PathBuf {
    let path = folder.path().join(name);
    candle_core::safetensors::save(tensors, &path).unwrap();
    path
}

#[test]
fn safetensors_in_several_files() {
    let whole = golden("hugging_face_tiny/model.safetensors");
    let tensors = candle_core::safetensors::load(whole, &Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (first, second): (Tensors, Tensors) = tensors
        .into_iter()
        .partition(|(name, _)| name.contains("bias"));
    write(&folder, "model-1.safetensors", &first);
    write(&folder, "model-2.safetensors", &second);
    let index = |second_file: &str| {
        let entries = first
            .keys()
            .map(|name| format!("{name:?}: \"model-1.safetensors\""))
            .chain(
                second
                    .keys()
                    .map(|name| format!("{name:?}: {second_file:?}")),
            );
        let entries: Vec<String> = entries.collect();
        let text = format!("{{\"weight_map\": {{{}}}}}", entries.join(", "));
        std::fs::write(folder.path().join("model.safetensors.index.json"), text).unwrap();
        load(folder.path(), ReadLimits::default())
    };
    let found = index("model-2.safetensors").unwrap();
    let whole = load(
        &golden("hugging_face_tiny/model.safetensors"),
        ReadLimits::default(),
    )
    .unwrap();
    assert_eq!(logits(&found, 64), logits(&whole, 64));
    let error = index("../model-2.safetensors").unwrap_err().to_string();
    assert!(error.contains("leads out of the folder"), "{error}");
    let error = index("model-3.safetensors").unwrap_err().to_string();
    assert!(error.contains("model-3.safetensors"), "{error}");
    let error = index("model-1.safetensors").unwrap_err().to_string();
    assert!(
        error.contains("not in the file that the index names"),
        "{error}"
    );
}

/// Prefixes of scopes, keys and modules, as detectors and training programs add them.
#[test]
fn names_behind_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    for (file, from, to) in [
        (
            "hugging_face_tiny/model.safetensors",
            "",
            "module._orig_mod.",
        ),
        ("timm_tiny.safetensors", "", "_orig_mod."),
        ("timm_tiny.safetensors", "", "state_dict.module.backbone."),
        ("keras_tiny.safetensors", "", "mobilenet_1.00_224/"),
        ("slim", "MobilenetV1/", "FeatureExtractor/MobilenetV1/"),
    ] {
        let tensors = if file == "slim" {
            let exported = folder.path().join("slim.safetensors");
            let checkpoint = load(&golden("slim_v1.ckpt"), ReadLimits::default()).unwrap();
            save_as(&exported, &checkpoint, WeightsDtype::F32, Framework::Slim).unwrap();
            candle_core::safetensors::load(exported, &Device::Cpu).unwrap()
        } else {
            candle_core::safetensors::load(golden(file), &Device::Cpu).unwrap()
        };
        let plain = load(
            &write(&folder, "plain.safetensors", &tensors),
            ReadLimits::default(),
        )
        .unwrap();
        let renamed: Tensors = tensors
            .into_iter()
            .map(|(name, tensor)| (format!("{to}{}", name.strip_prefix(from).unwrap()), tensor))
            .collect();
        let path = write(&folder, "renamed.safetensors", &renamed);
        let found = load(&path, ReadLimits::default()).unwrap();
        assert!(found.report.unused.is_empty(), "{}", found.report);
        assert_eq!(logits(&found, 64), logits(&plain, 64), "{to}");
    }
}

/// Tests a flipped bit in the values, which only the checksum reveals, and a truncated data file.
#[test]
fn broken_data_of_a_tensorflow_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = "model.ckpt-2.data-00000-of-00001";
    for name in ["model.ckpt-2.index", data, "checkpoint"] {
        std::fs::copy(golden(&format!("slim_v2/{name}")), folder.path().join(name)).unwrap();
    }
    let path = folder.path().join(data);
    let good = std::fs::read(&path).unwrap();
    let error_of = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load(folder.path(), ReadLimits::default())
            .unwrap_err()
            .to_string()
    };
    // The last bytes belong to the counter, an integer that is not read.
    for at in [0, good.len() / 2, good.len() - 9] {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        let error = error_of(&flipped);
        assert!(error.contains("its checksum (crc32c) is wrong"), "{error}");
        assert!(error.contains("tensor `MobilenetV1/"), "{error}");
    }
    let error = error_of(&good[..good.len() / 2]);
    assert!(error.contains("exceed the data file's"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = load(folder.path(), ReadLimits::default()).unwrap_err();
    assert!(error.to_string().contains(data), "{error}");
}
