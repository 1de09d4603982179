//! Files that are written of networks of integers hold the same integers, and mean the same numbers.

use crate::small_networks::{images, integer_networks, random};
use crate::support::relative_error;
use mobilenet_kernels::Padding;
use mobilenet_kernels::integer::IntegerOperation;
use mobilenet_model::checkpoint::{
    Checkpoint, Metadata, ReadLimits, WeightsDtype, is_quantized, load, load_integers, save,
    save_integer_onnx, save_integer_safetensors, save_integer_tflite,
};
use mobilenet_model::{InferencePlan, PlanOptions, PlanWeights};

#[test]
fn tflite_files_hold_the_same_integers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tflite");
    for (name, network, metadata) in integer_networks() {
        save_integer_tflite(&path, &network, &metadata).unwrap();
        let found = load_integers(&path, ReadLimits::default()).unwrap();
        assert_eq!(found.input_shape, network.input_shape);
        assert_eq!(found.input, network.input);
        assert_eq!(found.layers.len(), network.layers.len(), "{name}");
        for (found, mut expected) in found.layers.iter().zip(network.layers) {
            if let IntegerOperation::Convolution(convolution) = &mut expected.operation
                && convolution.geometry.stride == 1
                && convolution.geometry.padding == Padding::symmetric(1)
            {
                // The same, for any size.
                convolution.geometry.padding = Padding::Same;
            }
            assert_eq!(found, &expected, "{name}");
        }
        // Read as numbers, it keeps our metadata.
        let loaded = load(&path, ReadLimits::default()).unwrap();
        assert_eq!(loaded.metadata, metadata, "{name}");
    }
}

/// Logits of the f32 plan.
fn logits(checkpoint: &Checkpoint, image: &[f32]) -> Vec<f32> {
    let config = checkpoint.metadata.config();
    let weights = PlanWeights::new(&config, &checkpoint.parameters).unwrap();
    let options = PlanOptions::new(checkpoint.metadata.preprocessing.size, 1);
    let mut plan = InferencePlan::new(&weights, &options).unwrap();
    let mut logits = vec![0.0; plan.output_len()];
    plan.run(image, &mut logits).unwrap();
    logits
}

/// Our reader makes numbers of the constants of all files: those of the integers.
#[test]
fn all_files_mean_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let edited = ["one_signed_scale", "fully_connected", "features", "window"];
    for (name, network, metadata) in integer_networks() {
        if edited.contains(&name) {
            continue;
        }
        save_integer_onnx(&path("a.onnx"), &network, &metadata).unwrap();
        save_integer_tflite(&path("a.tflite"), &network, &metadata).unwrap();
        save_integer_safetensors(&path("a.safetensors"), &network, &metadata).unwrap();
        let loaded = ["a.onnx", "a.tflite", "a.safetensors"]
            .map(|name| load(&path(name), ReadLimits::default()).unwrap());
        for other in &loaded {
            assert!(other.report.unused.is_empty(), "{name}: {}", other.report);
            assert_eq!(other.metadata, metadata);
            assert_eq!(other.parameters, loaded[0].parameters, "{name}");
        }
        let original = random(|original| {
            *original = Metadata {
                folded: false,
                ..metadata.clone()
            }
        });
        let image = &images(&original, 40..41)[0];
        let error = relative_error(&logits(&loaded[0], image), &logits(&original, image));
        println!("{name}: {error:.2}");
        assert!(error < 0.35, "{name}: {error}");
    }
}

#[test]
fn safetensors_hold_the_same_integers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    for (name, network, metadata) in integer_networks() {
        save_integer_safetensors(&path, &network, &metadata).unwrap();
        assert!(is_quantized(&path, ReadLimits::default()).unwrap());
        let found = load_integers(&path, ReadLimits::default()).unwrap();
        assert_eq!(found, network, "{name}");
    }
    // Weights of f32 are no integers.
    let checkpoint = random(|_| {});
    save(&path, &checkpoint, WeightsDtype::F32).unwrap();
    assert!(!is_quantized(&path, ReadLimits::default()).unwrap());
    let error = load_integers(&path, ReadLimits::default()).unwrap_err();
    assert!(
        error.to_string().contains("no network of integers"),
        "{error}"
    );
}

/// Files whose structure and tensors do not go together.
#[test]
fn broken_safetensors_of_integers_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let (_, network, metadata) = integer_networks().swap_remove(2);
    save_integer_safetensors(&path, &network, &metadata).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let header = std::str::from_utf8(&rest[..u64::from_le_bytes(*length) as usize]).unwrap();
    let edited = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let place = header.find(from).unwrap();
        let mut bytes = bytes.clone();
        bytes[8 + place..][..from.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, bytes).unwrap();
        load_integers(&path, ReadLimits::default())
            .unwrap_err()
            .to_string()
    };
    for (from, to, expected) in [
        (r#"\"i8\":-128"#, r#"\"i8\":-129"#, "zero point"),
        (r#"\"kernel\":[3,3]"#, r#"\"kernel\":[3,2]"#, "weights"),
        (r#"\"kernel\":[3,3]"#, r#"\"kernel\":[0,3]"#, "Conv2d_0"),
        (r#"\"stride\":2"#, r#"\"stride\":0"#, "stride"),
        (r#"\"arithmetic\""#, r#"\"arithmetik\""#, "integer_network"),
        ("\"Conv2d_0.bias\"", "\"Conv2d_0.bios\"", "Conv2d_0.bias"),
        (
            "\"activations.scale\"",
            "\"activations.scala\"",
            "activations.scale",
        ),
        (
            "\"Conv2d_1_depthwise.weight\"",
            "\"Conv2d_1_depthwise.wright\"",
            "8-bit integers",
        ),
        (
            "\"Conv2d_0.weight.scale\"",
            "\"Conv2d_0.weight.scala\"",
            "Conv2d_0.weight",
        ),
    ] {
        let error = edited(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    }
}
