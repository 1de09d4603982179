//! Files that we write for frameworks have the framework's names and shapes, and give the same
//! network when read again. `golden/exported.py` loads such files into the frameworks.

use std::collections::BTreeMap;

use crate::support::{golden, input};
use candle_core::{Device, Tensor};
use mobilenet_model::checkpoint::{
    Agreement, Checkpoint, Format, Framework, Metadata, ReadLimits, Reference, WeightsDtype, load,
    save_as,
};
use mobilenet_model::{InferencePlan, PaddingRule, PlanOptions, PlanWeights};

type Shapes = BTreeMap<String, Vec<usize>>;

/// Names and shapes of all tensors of a file.
fn shapes(path: &std::path::Path) -> Shapes {
    let bytes = std::fs::read(path).unwrap();
    let format = Format::detect(&bytes).unwrap();
    let file = format.read(&bytes, ReadLimits::default()).unwrap();
    file.tensors
        .into_iter()
        .map(|(name, tensor)| (name.trim_end_matches(":0").to_string(), tensor.shape))
        .collect()
}

fn logits(checkpoint: &Checkpoint) -> Vec<f32> {
    let network = checkpoint.build().unwrap();
    let logits = network.forward_t(&input(64, 64), false).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

/// A file that we write for a framework has the same tensors as the framework's own file.
#[test]
fn names_and_shapes_are_the_frameworks_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exported.safetensors");
    for (framework, own) in [
        (
            Framework::HuggingFace,
            "hugging_face_tiny/model.safetensors",
        ),
        (Framework::Timm, "timm_tiny.safetensors"),
        (Framework::Keras, "keras_tiny.safetensors"),
        (Framework::Slim, "slim_variables.npz"),
    ] {
        let original = load(&golden(own), ReadLimits::default()).unwrap();
        save_as(&path, &original, WeightsDtype::F32, framework).unwrap();
        assert_eq!(shapes(&path), shapes(&golden(own)), "{framework}");
        let again = load(&path, ReadLimits::default()).unwrap();
        assert_eq!(again.metadata, original.metadata);
        assert!(again.report.unused.is_empty());
        assert_eq!(logits(&again), logits(&original), "{framework}");
        let first = std::fs::read(&path).unwrap();
        save_as(&path, &again, WeightsDtype::F32, framework).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }
}

/// Settings that a framework's network does not support are refused before a file is written.
#[test]
fn a_framework_without_such_a_network_gets_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exported.safetensors");
    let timm = load(&golden("timm_tiny.safetensors"), ReadLimits::default()).unwrap();
    let with = |edit: &dyn Fn(&mut Metadata)| {
        let mut checkpoint = timm.clone();
        edit(&mut checkpoint.metadata);
        checkpoint
    };
    let keras_padding = with(&|metadata| metadata.padding = PaddingRule::Keras);
    let same_padding = with(&|metadata| metadata.padding = PaddingRule::Same);
    let width = with(&|metadata| metadata.width = 0.3);
    for (checkpoint, framework, expected) in [
        (&timm, Framework::Keras, "8 channels at width 0.03125"),
        (
            &keras_padding,
            Framework::HuggingFace,
            "padding as Keras has it",
        ),
        (&keras_padding, Framework::Slim, "padding as Keras has it"),
        (&same_padding, Framework::Keras, "where it has 1"),
        (
            &width,
            Framework::Timm,
            "9 channels at width 0.3, where it has 16",
        ),
    ] {
        let error = save_as(&path, checkpoint, WeightsDtype::F32, framework).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!path.exists());
    }
}

/// Writes arrays as an uncompressed npz.
fn npz(path: &std::path::Path, arrays: &[(&str, &Tensor)]) {
    Tensor::write_npz(arrays, path).unwrap();
}

#[test]
fn logits_are_compared_with_a_reference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reference.npz");
    let checkpoint = load(&golden("timm_tiny.safetensors"), ReadLimits::default()).unwrap();
    let nhwc = input(64, 64).permute((0, 2, 3, 1)).unwrap();
    let nhwc = nhwc.contiguous().unwrap();
    let config = checkpoint.metadata.config();
    let weights = PlanWeights::new(&config, &checkpoint.parameters).unwrap();
    let mut plan = InferencePlan::new(&weights, &PlanOptions::new([64, 64], 1)).unwrap();
    let mut expected = vec![0.0; 2 * plan.output_len()];
    let pixels: Vec<f32> = nhwc.flatten_all().unwrap().to_vec1().unwrap();
    plan.run(&pixels, &mut expected).unwrap();
    let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    let compare = |difference: f32| -> Agreement {
        let mut values = expected.clone();
        values[3] += difference * largest;
        let logits = Tensor::from_vec(values, (2, 10), &Device::Cpu).unwrap();
        npz(&path, &[("input", &nhwc), ("logits", &logits)]);
        let reference = Reference::read(&path, ReadLimits::default()).unwrap();
        reference.compare(&checkpoint).unwrap()
    };
    let same = compare(0.0);
    assert_eq!((same.max_absolute, same.max_relative), (0.0, 0.0));
    assert!(compare(5e-5).is_good());
    let far = compare(2e-3);
    assert!(!far.is_good() && (far.max_relative - 2e-3).abs() < 1e-5);
    assert!(!compare(f32::NAN).is_good());

    npz(&path, &[("input", &nhwc)]);
    let error = Reference::read(&path, ReadLimits::default()).unwrap_err();
    assert!(error.to_string().contains("`logits`: not in the file"));
    let logits = Tensor::zeros((2, 11), candle_core::DType::F32, &Device::Cpu).unwrap();
    npz(&path, &[("input", &nhwc), ("logits", &logits)]);
    let reference = Reference::read(&path, ReadLimits::default()).unwrap();
    let error = reference.compare(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("was [2, 11], expected [2, 10]"), "{error}");
}
