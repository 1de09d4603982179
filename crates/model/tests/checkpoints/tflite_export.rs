//! TFLite files that we write: our own reader makes the same network of them.
//! `golden/tflite_export.py` runs such files in LiteRT.

use crate::support::{golden, relative_error};
use mobilenet_model::checkpoint::{
    Checkpoint, LoadReport, Metadata, ReadLimits, SavedActivation, load, save_tflite,
};
use mobilenet_model::initialize::random_parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::{InferencePlan, PaddingRule, PlanOptions, PlanWeights};

/// Logits, or features, of an image of waves.
fn answer(checkpoint: &Checkpoint) -> Vec<f32> {
    let metadata = &checkpoint.metadata;
    let weights = PlanWeights::new(&metadata.config(), &checkpoint.parameters).unwrap();
    let mut options = PlanOptions::new(metadata.preprocessing.size, 1);
    if metadata.classes.is_none() {
        options.output = mobilenet_model::PlanOutput::Features;
    }
    let mut plan = InferencePlan::new(&weights, &options).unwrap();
    let image: Vec<f32> = (0..plan.input_len())
        .map(|index| (index as f32 * 0.37).sin())
        .collect();
    let mut output = vec![0.0; plan.output_len()];
    plan.run(&image, &mut output).unwrap();
    output
}

/// Random weights of a small network.
fn random(edit: impl FnOnce(&mut Metadata)) -> Checkpoint {
    let mut metadata = Metadata {
        width: 0.25,
        classes: Some(11),
        ..Metadata::new(Preprocessing::slim(64))
    };
    edit(&mut metadata);
    Checkpoint {
        parameters: random_parameters(&metadata.config(), 7).unwrap(),
        metadata,
        report: LoadReport::default(),
    }
}

/// Networks that differ in all that a file must say.
fn networks() -> Vec<(&'static str, Checkpoint)> {
    vec![
        ("same", random(|_| {})),
        (
            "explicit_odd",
            random(|metadata| {
                metadata.padding = PaddingRule::Explicit;
                metadata.preprocessing.size = [75, 101];
                metadata.global_pool = true;
            }),
        ),
        (
            "explicit_relu",
            random(|metadata| {
                metadata.padding = PaddingRule::Explicit;
                metadata.activation = SavedActivation::Relu;
                metadata.in_channels = 1;
            }),
        ),
        (
            "keras",
            random(|metadata| {
                metadata.padding = PaddingRule::Keras;
                metadata.preprocessing.size = [95, 65];
                metadata.channel_multiplier = 2;
                metadata.global_pool = true;
            }),
        ),
        ("features", random(|metadata| metadata.classes = None)),
        (
            "window",
            random(|metadata| metadata.preprocessing.size = [224, 224]),
        ),
    ]
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, original) in networks() {
        let path = folder.path().join(name);
        save_tflite(&path, &original).unwrap();
        let found = load(&path, ReadLimits::default()).unwrap();
        let expected = original.clone().fold().unwrap();
        assert_eq!(found.metadata, expected.metadata, "{name}");
        assert_eq!(found.parameters, expected.parameters, "{name}");
        assert!(found.report.unused.is_empty(), "{name}: {}", found.report);
        let error = relative_error(&answer(&found), &answer(&original));
        assert!(error <= 1e-6, "{name}: {error:e}");
        // A folded checkpoint gives the same file.
        let again = folder.path().join("again");
        save_tflite(&again, &expected).unwrap();
        assert_eq!(
            std::fs::read(&again).unwrap(),
            std::fs::read(&path).unwrap()
        );
    }
}

/// The graph alone, without our metadata, says the same.
#[test]
fn the_graph_says_the_padding_and_the_activation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tflite");
    for (name, original) in networks().into_iter().take(5) {
        save_tflite(&path, &original).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // Without its name, the metadata is not ours.
        let key = bytes.windows(13).position(|part| part == b"mobilenet_v1\0");
        bytes[key.unwrap()] = b'x';
        std::fs::write(&path, bytes).unwrap();
        let found = load(&path, ReadLimits::default()).unwrap();
        let expected = &original.metadata;
        assert_eq!(found.metadata.padding, expected.padding, "{name}");
        assert_eq!(found.metadata.activation, expected.activation, "{name}");
        assert_eq!(
            found.metadata.preprocessing.size,
            expected.preprocessing.size
        );
        assert_eq!(answer(&found), answer(&original.fold().unwrap()), "{name}");
    }
}

#[test]
fn constants_are_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tflite");
    let network = random(|_| {}).fold().unwrap();
    save_tflite(&path, &network).unwrap();
    let file = std::fs::read(&path).unwrap();
    for (name, parameter) in &network.parameters {
        // The order of biases is the same in the file.
        if name.ends_with(".bias") {
            let values: Vec<u8> = parameter
                .values()
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect();
            let start = file.windows(values.len()).position(|part| part == values);
            assert_eq!(start.unwrap() % 16, 0, "{name}");
        }
    }
}

#[test]
fn a_head_that_has_several_windows_is_an_error() {
    let large = random(|metadata| metadata.preprocessing.size = [288, 288]);
    let folder = tempfile::tempdir().unwrap();
    let error = save_tflite(&folder.path().join("a.tflite"), &large).unwrap_err();
    assert!(error.to_string().contains("2x2"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Writes files that `golden/tflite_export.py` runs in LiteRT.
#[test]
#[ignore = "writes files for a Python script"]
fn tflite_for_the_interpreter() {
    let folder = tempfile::tempdir().unwrap().keep();
    for (file, name) in [
        ("slim_tiny.pb", "slim_tiny"),
        ("timm_tiny.pth", "timm_tiny"),
        ("keras_tiny.safetensors", "keras_tiny"),
        ("hugging_face_tiny", "hugging_face_tiny"),
    ] {
        let mut checkpoint = load(&golden(file), ReadLimits::default()).unwrap();
        checkpoint.metadata.preprocessing.size = [96, 96];
        save_tflite(&folder.join(format!("{name}.tflite")), &checkpoint).unwrap();
    }
    for (name, checkpoint) in networks() {
        save_tflite(&folder.join(format!("{name}.tflite")), &checkpoint).unwrap();
        let answer = answer(&checkpoint);
        let bytes: Vec<u8> = answer.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{name}.answer")), bytes).unwrap();
    }
    println!("{}", folder.display());
}
