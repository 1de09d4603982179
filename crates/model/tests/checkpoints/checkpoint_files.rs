//! Our own files: saved weights are read back the same. Also half precision and the load report.

use crate::support::{golden, relative_error};
use candle_core::{DType, Device, Tensor};
use mobilenet_model::checkpoint::{
    Checkpoint, CheckpointError, Framework, LoadReport, Metadata, ReadLimits, WeightsDtype, load,
    save, save_as,
};
use mobilenet_model::initialize::random_parameters;
use mobilenet_model::labels::Labels;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::{Array, PaddingRule};
use safetensors::SafeTensors;

fn checkpoint() -> Checkpoint {
    let metadata = Metadata {
        width: 0.25,
        classes: Some(4),
        labels: Labels::Names(["a", "b", "c", "d"].map(String::from).to_vec()),
        padding: PaddingRule::Explicit,
        batch_norm_epsilon: 1e-5,
        global_pool: true,
        source: "a test".into(),
        ..Metadata::new(Preprocessing::timm(64, 0.875))
    };
    Checkpoint {
        parameters: random_parameters(&metadata.config(), 1).unwrap(),
        metadata,
        report: LoadReport::default(),
    }
}

fn logits(checkpoint: &Checkpoint) -> Vec<f32> {
    let values: Vec<f32> = (0..3 * 64 * 64)
        .map(|i| ((i * 37 % 101) as f32) / 50.0 - 1.0)
        .collect();
    let xs = Tensor::from_vec(values, (1, 3, 64, 64), &Device::Cpu).unwrap();
    let logits = checkpoint.build().unwrap().forward_t(&xs, false).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn what_is_saved_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let original = checkpoint();
    save(&path, &original, WeightsDtype::F32).unwrap();
    let loaded = load(&path, ReadLimits::default()).unwrap();
    assert_eq!(loaded.metadata, original.metadata);
    assert_eq!(loaded.report.applied.len(), 137);
    assert!(loaded.report.unused.is_empty());
    assert_eq!(logits(&loaded), logits(&original));
    // Saving again gives the same bytes, and leaves no other file in the folder.
    let again = folder.path().join("again.safetensors");
    save(&again, &loaded, WeightsDtype::F32).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(&again).unwrap()
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn half_precision_is_half_the_size_and_close() {
    let folder = tempfile::tempdir().unwrap();
    let original = checkpoint();
    let size_of = |dtype| {
        let path = folder.path().join("weights.safetensors");
        save(&path, &original, dtype).unwrap();
        (
            std::fs::metadata(&path).unwrap().len(),
            load(&path, ReadLimits::default()).unwrap(),
        )
    };
    let (full, _) = size_of(WeightsDtype::F32);
    let expected = logits(&original);
    // Rounding changes weights by up to 2^-11 and 2^-8 of their value. The error grows through 28
    // layers.
    for (dtype, tolerance) in [(WeightsDtype::F16, 4e-3), (WeightsDtype::Bf16, 3e-2)] {
        let (half, loaded) = size_of(dtype);
        assert!(
            (half as f64 / full as f64 - 0.5).abs() < 0.01,
            "{dtype:?}: {half} of {full}"
        );
        let error = relative_error(&logits(&loaded), &expected);
        println!("{dtype:?}: {error:e}");
        assert!(error > 0.0 && error < tolerance, "{dtype:?}: {error:e}");
    }
}

#[test]
fn a_value_that_overflows_f16_is_an_error_and_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut large = checkpoint();
    save(&path, &large, WeightsDtype::F16).unwrap();
    let before = std::fs::read(&path).unwrap();
    let name = "Conv2d_0.batch_norm.running_var";
    large
        .parameters
        .insert(name.into(), Array::new([8], vec![1e6; 8]).unwrap());
    let error = save(&path, &large, WeightsDtype::F16)
        .unwrap_err()
        .to_string();
    assert!(error.contains(name) && error.contains("1000000"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    save(&path, &large, WeightsDtype::Bf16).unwrap();
    assert!(
        save(
            &folder.path().join("no/such/folder.st"),
            &large,
            WeightsDtype::F32
        )
        .is_err()
    );
}

#[test]
fn another_number_of_classes_keeps_the_body() {
    let original = checkpoint();
    let other = original.clone().with_classes(Some(9), 3).unwrap();
    assert_eq!(logits(&other).len(), 9);
    assert_eq!(other.metadata.labels, Labels::Unknown);
    let name = "Conv2d_13_pointwise.weight";
    let values = |c: &Checkpoint| c.parameters[name].values().to_vec();
    assert_eq!(values(&other), values(&original));
    let features = original.with_classes(None, 0).unwrap();
    assert_eq!(logits(&features).len(), 256);
}

#[test]
fn extra_tensors_of_a_graph_are_reported_as_unused() {
    let report = load(&golden("slim_tiny.pb"), ReadLimits::default())
        .unwrap()
        .report;
    assert_eq!(
        report.unused,
        [
            "final_training_ops/biases/final_biases",
            "final_training_ops/weights/final_weights"
        ]
    );
    let text = report.to_string();
    assert!(
        text.starts_with("137 applied, 0 missing, 2 unused, 0 mismatched"),
        "{text}"
    );
}

#[test]
fn what_the_file_says_of_the_network_is_found() {
    let metadata = |name: &str| load(&golden(name), ReadLimits::default()).unwrap().metadata;
    let hugging_face = metadata("hugging_face_tiny");
    assert_eq!(
        (hugging_face.width, hugging_face.classes),
        (0.03125, Some(10))
    );
    assert_eq!(hugging_face.preprocessing.size, [96, 96]);
    assert_eq!(
        hugging_face.preprocessing,
        Preprocessing {
            size: [96, 96],
            ..Preprocessing::hugging_face(80)
        }
    );
    let timm = metadata("timm_tiny.pth");
    assert_eq!(
        (timm.padding, timm.batch_norm_epsilon),
        (PaddingRule::Explicit, 1e-5)
    );
    let slim = metadata("slim_tiny_fused.pb");
    assert_eq!(
        (slim.padding, slim.batch_norm_epsilon),
        (PaddingRule::Same, 1e-3)
    );
    assert_eq!(metadata("slim_tiny.pb").batch_norm_epsilon, 1e-3);
    let keras = metadata("keras_tiny.safetensors");
    assert_eq!((keras.padding, keras.min_depth), (PaddingRule::Keras, 1));
}

/// Loads a file of which some tensors were removed or changed.
fn edited(edit: impl Fn(&mut Vec<(String, Tensor)>)) -> Result<Checkpoint, CheckpointError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited.safetensors");
    let parameters = checkpoint().parameters.into_iter();
    let mut tensors: Vec<(String, Tensor)> = parameters
        .map(|(name, array)| (name, array.try_into().unwrap()))
        .collect();
    edit(&mut tensors);
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    load(&path, ReadLimits::default())
}

#[test]
fn a_missing_tensor_does_not_pass() {
    let name = "Conv2d_5_depthwise.batch_norm.running_mean";
    let error = edited(|tensors| tensors.retain(|(n, _)| n != name)).unwrap_err();
    let CheckpointError::Incomplete { report, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(report.missing, [name]);
    assert!(
        error.to_string().contains(&format!("missing {name}")),
        "{error}"
    );
    // A file with only half of the classifier is no body either.
    let bias_only = edited(|tensors| tensors.retain(|(n, _)| n != "Logits.Conv2d_1c_1x1.weight"));
    assert!(matches!(bias_only, Err(CheckpointError::Incomplete { .. })));
    let body = edited(|tensors| tensors.retain(|(n, _)| !n.starts_with("Logits"))).unwrap();
    assert_eq!(body.metadata.classes, None);
}

fn replace(name: &'static str, tensor: Tensor) -> Result<Checkpoint, CheckpointError> {
    edited(move |tensors| {
        tensors.iter_mut().find(|(n, _)| n == name).unwrap().1 = tensor.clone();
    })
}

#[test]
fn a_wrong_shape_does_not_pass() {
    let wrong = Tensor::zeros((32, 1, 5, 5), DType::F32, &Device::Cpu).unwrap();
    let error = replace("Conv2d_4_depthwise.weight", wrong).unwrap_err();
    let CheckpointError::Incomplete { report, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(report.mismatched[0].expected, [32, 1, 3, 3]);
    assert_eq!(report.mismatched[0].found, [32, 1, 5, 5]);
    assert!(
        error
            .to_string()
            .contains("expected [32, 1, 3, 3], found [32, 1, 5, 5]"),
        "{error}"
    );
}

#[test]
fn zero_size_tensors_do_not_pass() {
    let empty = Tensor::zeros(0, DType::F32, &Device::Cpu).unwrap();
    let error = replace("Conv2d_4_depthwise.batch_norm.bias", empty).unwrap_err();
    assert!(
        error.to_string().contains("expected [32], found [0]"),
        "{error}"
    );
    let empty = Tensor::zeros((0, 3, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let error = replace("Conv2d_0.weight", empty).unwrap_err();
    assert!(
        matches!(error, CheckpointError::Architecture { .. }),
        "{error}"
    );
}

#[test]
fn a_wrong_dtype_does_not_pass() {
    let integers = Tensor::zeros(8, DType::I64, &Device::Cpu).unwrap();
    let error = replace("Conv2d_0.batch_norm.bias", integers)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`Conv2d_0.batch_norm.bias`: expected f32"),
        "{error}"
    );
    assert!(error.contains("found I64"), "{error}");
}

#[test]
fn nan_and_negative_variances_do_not_pass() {
    for (value, shown) in [(f32::NAN, "NaN"), (-0.5, "-0.5"), (f32::INFINITY, "inf")] {
        let mut values = [1f32; 8];
        values[5] = value;
        let tensor = Tensor::new(&values, &Device::Cpu).unwrap();
        let error = replace("Conv2d_0.batch_norm.running_var", tensor).unwrap_err();
        assert!(
            matches!(error, CheckpointError::Value { index: 5, .. }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains(&format!("running_var` holds {shown} at index 5")),
            "{error}"
        );
    }
}

#[test]
fn other_networks_are_named_as_such() {
    let other = edited(|tensors| {
        for (name, _) in tensors.iter_mut() {
            *name = name.replace('.', "_");
        }
    });
    let error = other.unwrap_err();
    assert!(
        matches!(error, CheckpointError::UnknownNames { count: 137, .. }),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path(), ReadLimits::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("model.safetensors, model.safetensors.index.json, pytorch_model.bin"),
        "{error}"
    );
}

#[test]
fn metadata_that_lies_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lying.safetensors");
    let mut lying = checkpoint();
    lying.metadata.width = 0.5;
    save(&path, &lying, WeightsDtype::F32).unwrap();
    assert!(matches!(
        load(&path, ReadLimits::default()),
        Err(CheckpointError::Incomplete { .. })
    ));
    let mut bytes = std::fs::read(&path).unwrap();
    let wanted = br#"\"width\":0.5"#;
    let at = bytes
        .windows(wanted.len())
        .position(|w| w == wanted)
        .unwrap();
    bytes[at..at + wanted.len()].copy_from_slice(br#"\"width\":-1 "#);
    std::fs::write(&path, bytes).unwrap();
    let error = load(&path, ReadLimits::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("depth_multiplier must be greater than zero"),
        "{error}"
    );
}

/// Files of other frameworks do not say how photos are resized: ImageNet's weights get the rule that
/// serves them best, others that of their framework.
#[test]
fn weights_that_record_no_rule_get_the_best_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let rule_of = |classes, framework, with_ours: bool| {
        let metadata = Metadata {
            width: 0.25,
            classes: Some(classes),
            ..Metadata::new(Preprocessing::plain(224))
        };
        let checkpoint = Checkpoint {
            parameters: random_parameters(&metadata.config(), 1).unwrap(),
            metadata,
            report: LoadReport::default(),
        };
        save_as(&path, &checkpoint, WeightsDtype::F32, framework).unwrap();
        if !with_ours {
            let bytes = std::fs::read(&path).unwrap();
            let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
            std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        }
        let found = load(&path, ReadLimits::default()).unwrap();
        found.metadata.preprocessing
    };
    let timm = Preprocessing::timm(224, 0.875);
    assert_eq!(rule_of(1001, Framework::Slim, false), timm);
    assert_eq!(rule_of(1001, Framework::HuggingFace, false), timm);
    assert_eq!(
        rule_of(10, Framework::Slim, false),
        Preprocessing::slim(224)
    );
    // What we write says it, whatever the framework.
    for framework in [Framework::Ours, Framework::Slim] {
        assert_eq!(rule_of(1001, framework, true), Preprocessing::plain(224));
    }
}
