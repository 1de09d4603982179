//! The error for a file of another network says what network it looks like, and which names may
//! have been meant.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use mobilenet_model::checkpoint::{CheckpointError, ReadLimits, load};

/// The message for a file of tensors with these names and shapes.
fn message(tensors: &[(&str, &[usize])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let tensors: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, shape)| {
            let tensor = Tensor::zeros(*shape, DType::F32, &Device::Cpu).unwrap();
            (name.to_string(), tensor)
        })
        .collect();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    load(&path, ReadLimits::default()).unwrap_err().to_string()
}

/// Names of other networks in torchvision, TF-slim and Keras.
#[test]
fn other_networks_are_recognised() {
    for (network, names) in [
        (
            "ResNet",
            [
                "layer1.0.conv1.weight",
                "layer1.0.bn1.weight",
                "layer4.0.conv2.weight",
            ],
        ),
        (
            "MobileNetV2",
            [
                "features.1.conv.0.0.weight",
                "features.1.conv.1.weight",
                "features.2.conv.0.0.weight",
            ],
        ),
        (
            "MobileNetV2",
            [
                "MobilenetV2/Conv/weights",
                "MobilenetV2/expanded_conv/depthwise/depthwise_weights",
                "MobilenetV2/expanded_conv/project/weights",
            ],
        ),
        (
            "MobileNetV2",
            [
                "block_1_project_BN/gamma",
                "block_2_project_BN/gamma",
                "block_3_project_BN/gamma",
            ],
        ),
        (
            "ResNet",
            [
                "conv2_block1_1_conv/kernel",
                "conv2_block1_1_bn/gamma",
                "conv3_block1_1_conv/kernel",
            ],
        ),
        (
            "MobileNetV3",
            [
                "features.4.block.0.0.weight",
                "features.4.block.2.fc1.weight",
                "features.2.block.0.0.weight",
            ],
        ),
    ] {
        let shape: &[usize] = &[1];
        let error = message(&names.map(|name| (name, shape)));
        assert!(
            error.contains(&format!("it looks like {network}\n")),
            "{error}"
        );
        assert!(
            error.contains(&format!("`{}` does not fit", {
                let mut sorted = names;
                sorted.sort();
                sorted[0]
            })),
            "{error}"
        );
    }
}

/// timm's MobileNetV2 begins like its MobileNetV1, and then differs.
#[test]
fn a_network_that_begins_alike_is_recognised() {
    let error = message(&[
        ("conv_stem.weight", &[32, 3, 3, 3]),
        ("bn1.weight", &[32]),
        ("blocks.0.0.conv_dw.weight", &[32, 1, 3, 3]),
        ("blocks.0.0.conv_pw.weight", &[16, 32, 1, 1]),
        ("blocks.1.0.conv_pw.weight", &[96, 16, 1, 1]),
        ("blocks.1.0.conv_pwl.weight", &[24, 96, 1, 1]),
        ("blocks.1.1.conv_pwl.weight", &[24, 144, 1, 1]),
        ("blocks.2.0.conv_pwl.weight", &[32, 144, 1, 1]),
    ]);
    assert!(error.contains("no width multiplier"), "{error}");
    assert!(error.contains("inverted residuals"), "{error}");
    assert!(
        error.contains("`blocks.1.0.conv_pwl.weight` does not fit; did you mean"),
        "{error}"
    );
}

#[test]
fn a_misspelt_name_is_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("misspelt.safetensors");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/timm_tiny.safetensors");
    let mut tensors = candle_core::safetensors::load(golden, &Device::Cpu).unwrap();
    let tensor = tensors.remove("blocks.3.2.bn1.running_mean").unwrap();
    tensors.insert("blocks.3.2.bn1.runing_mean".into(), tensor);
    let tensor = tensors.remove("conv_stem.weight").unwrap();
    let wrong = "conv_stm.weight".to_string();
    tensors.insert("conv_stem.weight".into(), tensor.clone());
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = load(&path, ReadLimits::default()).unwrap_err();
    let CheckpointError::Incomplete { misfit, .. } = &error else {
        panic!("{error}")
    };
    let expected = (
        "blocks.3.2.bn1.runing_mean".to_string(),
        Some("blocks.3.2.bn1.running_mean".to_string()),
    );
    assert_eq!(misfit.tensors, [expected]);
    // Without the first name no framework is recognised. The names are guessed all the same.
    tensors.remove("conv_stem.weight");
    tensors.insert(wrong, tensor);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = load(&path, ReadLimits::default()).unwrap_err();
    let CheckpointError::UnknownNames { misfit, .. } = &error else {
        panic!("{error}")
    };
    let guess = |wrong: &str, meant: &str| (wrong.to_string(), Some(meant.to_string()));
    let expected = [
        guess("blocks.3.2.bn1.runing_mean", "blocks.3.2.bn1.running_mean"),
        guess("conv_stm.weight", "conv_stem.weight"),
    ];
    assert_eq!(misfit.tensors, expected);
    assert_eq!(misfit.looks_like, None);
}
