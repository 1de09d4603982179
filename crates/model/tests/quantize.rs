//! Post-training quantisation of networks with random weights, and the files of what it makes.
//! `golden/integer_export.py` runs such files in LiteRT and ONNX Runtime.

mod support;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use mobilenet_kernels::Padding;
use mobilenet_kernels::integer::{
    IntegerLayer, IntegerOperation, IntegerProgram, IntegerProgramConfig, PackedIntegers,
};
use mobilenet_kernels::simd::Isa;
use mobilenet_model::checkpoint::{
    Checkpoint, LoadReport, Metadata, ReadLimits, SavedActivation, WeightsDtype, is_quantized,
    load, load_integers, save, save_integer_onnx, save_integer_safetensors, save_integer_tflite,
};
use mobilenet_model::initialize::{Parameters, random_parameters};
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::quantize::{
    Comparison, Quantization, QuantizeOptions, RangeMethod, Scheme, quantize,
};
use mobilenet_model::quantized::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOutput, IntegerType, ValueKind,
};
use mobilenet_model::{InferencePlan, PaddingRule, PlanOptions, PlanWeights};
use support::relative_error;

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

/// The same network, whose channels between depthwise and pointwise layers have scales from 1 to
/// 1/64, so that one scale for a whole layer serves most of them badly.
fn unbalanced() -> Checkpoint {
    let mut checkpoint = random(|_| {});
    let scale = |channel: usize| (2f32).powi((channel % 7) as i32);
    let each = |parameters: &mut Parameters, name: &str, of: &dyn Fn(usize, usize) -> f32| {
        let tensor = parameters.get_mut(name).unwrap();
        let inputs = tensor.shape().get(1).copied().unwrap_or(1);
        for (index, value) in tensor.values_mut().iter_mut().enumerate() {
            *value *= of(index, index % inputs);
        }
    };
    for index in 1..=13 {
        for part in ["weight", "bias"] {
            let name = format!("Conv2d_{index}_depthwise.batch_norm.{part}");
            each(&mut checkpoint.parameters, &name, &|channel, _| {
                1.0 / scale(channel)
            });
        }
        let name = format!("Conv2d_{index}_pointwise.weight");
        each(&mut checkpoint.parameters, &name, &|_, input| scale(input));
    }
    checkpoint
}

/// Images of waves, normalised.
fn images(checkpoint: &Checkpoint, seeds: std::ops::Range<usize>) -> Vec<Vec<f32>> {
    let [rows, columns] = checkpoint.metadata.preprocessing.size;
    let count = rows * columns * checkpoint.metadata.in_channels;
    let image = |seed: usize| {
        let wave = |index: usize| (index as f32 * (0.003 + 0.0007 * seed as f32)).sin();
        let grain = |index: usize| ((index * (seed + 3)) % 17) as f32 / 40.0;
        (0..count)
            .map(|index| (0.7 * wave(index) + grain(index)).clamp(-1.0, 1.0))
            .collect()
    };
    seeds.map(image).collect()
}

fn quantized(checkpoint: &Checkpoint, options: &QuantizeOptions) -> Quantization {
    quantize(checkpoint, &images(checkpoint, 0..8), options).unwrap()
}

/// Compares on images that were not used for calibration.
fn compared(checkpoint: &Checkpoint, options: &QuantizeOptions) -> Comparison {
    let quantization = quantized(checkpoint, options);
    let mut comparison = Comparison::default();
    for image in images(checkpoint, 100..120) {
        comparison.merge(&quantization.compare(&image).unwrap());
    }
    assert_eq!(comparison.images, 20);
    assert_eq!(comparison.layers.len(), 28);
    comparison
}

fn last_decibels(comparison: &Comparison) -> f64 {
    comparison.layers.last().unwrap().decibels()
}

#[test]
fn eight_bits_are_close_to_the_float_network() {
    for scheme in [Scheme::PerChannel, Scheme::PerTensor] {
        let options = QuantizeOptions {
            scheme,
            ..QuantizeOptions::default()
        };
        let comparison = compared(&random(|_| {}), &options);
        for layer in &comparison.layers {
            println!("{scheme:?} {}: {:.1} dB", layer.name, layer.decibels());
            assert!(
                layer.decibels() > 15.0,
                "{}: {:.1}",
                layer.name,
                layer.decibels()
            );
        }
        assert!(
            comparison.agreement() >= Some(0.8),
            "{:?}",
            comparison.agreement()
        );
        let narrow = QuantizeOptions {
            weight_bits: 4,
            ..options
        };
        let narrow = compared(&random(|_| {}), &narrow);
        assert!(last_decibels(&narrow) < last_decibels(&comparison) - 5.0);
    }
}

/// With few bits, rounding to the nearest loses most.
#[test]
fn adaptive_rounding_helps() {
    let decibels = |scheme, adaptive_rounding| {
        let options = QuantizeOptions {
            weight_bits: 4,
            adaptive_rounding,
            ..QuantizeOptions::new(scheme)
        };
        last_decibels(&compared(&random(|_| {}), &options))
    };
    for scheme in [Scheme::PerChannel, Scheme::PerTensor] {
        let (nearest, adaptive) = (decibels(scheme, false), decibels(scheme, true));
        println!("{scheme:?}: {nearest:.1} dB to the nearest, {adaptive:.1} dB");
        assert!(adaptive > nearest + 1.0, "{scheme:?}: {nearest} {adaptive}");
    }
}

#[test]
fn bias_correction_and_equalization_help_where_one_scale_does_not_suffice() {
    let checkpoint = unbalanced();
    let decibels = |bias_correction, equalization| {
        let options = QuantizeOptions {
            scheme: Scheme::PerTensor,
            bias_correction,
            equalization,
            ..QuantizeOptions::default()
        };
        let comparison = compared(&checkpoint, &options);
        last_decibels(&comparison)
    };
    let (plain, corrected) = (decibels(false, false), decibels(true, false));
    let both = decibels(true, true);
    println!("{plain:.1} dB, corrected {corrected:.1} dB, also equalised {both:.1} dB");
    assert!(corrected > plain + 1.0 && both > corrected + 3.0);
}

const PER_TENSOR: QuantizeOptions = QuantizeOptions {
    scheme: Scheme::PerTensor,
    weight_bits: 8,
    range: RangeMethod::MinMax,
    bias_correction: true,
    adaptive_rounding: true,
    equalization: true,
};

/// Networks that differ in all that a file must say.
fn networks() -> Vec<(&'static str, Quantization)> {
    let per_channel = QuantizeOptions::default();
    let of = |name, options: &QuantizeOptions, edit: &dyn Fn(&mut Metadata)| {
        (name, quantized(&random(edit), options))
    };
    vec![
        of("per_channel", &per_channel, &|_| {}),
        of("per_tensor", &PER_TENSOR, &|_| {}),
        of("explicit_relu", &per_channel, &|metadata| {
            metadata.padding = PaddingRule::Explicit;
            metadata.activation = SavedActivation::Relu;
            metadata.in_channels = 1;
            metadata.preprocessing.mean = vec![0.4];
            metadata.preprocessing.std = vec![0.3];
        }),
        of("keras_odd", &PER_TENSOR, &|metadata| {
            metadata.padding = PaddingRule::Keras;
            metadata.preprocessing.size = [75, 101];
            metadata.channel_multiplier = 2;
            metadata.global_pool = true;
        }),
        // Means that differ: the input are numbers.
        of("numbers", &per_channel, &|metadata| {
            metadata.preprocessing.mean = vec![0.485, 0.456, 0.406];
            metadata.preprocessing.std = vec![0.229, 0.224, 0.225];
        }),
        of("features", &per_channel, &|metadata| {
            metadata.classes = None
        }),
        // The window of the pool is smaller than the map.
        of("window", &per_channel, &|metadata| {
            metadata.preprocessing.size = [232, 64]
        }),
    ]
}

/// The same with one scale for all weights of a layer, and with a classifier that is fully
/// connected, as other writers have them.
fn one_signed_scale(mut network: IntegerNetwork) -> IntegerNetwork {
    for layer in &mut network.layers {
        if let IntegerOperation::Convolution(convolution) = &mut layer.operation {
            convolution.weights.scales.truncate(1);
            convolution.weights.zero_points.truncate(1);
        }
    }
    network
}

fn fully_connected(mut network: IntegerNetwork) -> IntegerNetwork {
    let is_flatten = |layer: &IntegerLayer| layer.operation == IntegerOperation::Flatten;
    let flatten = network.layers.iter().position(is_flatten).unwrap();
    network.layers.swap(flatten - 1, flatten);
    network.layers[flatten - 1].output = network.layers[flatten - 2].output;
    if let IntegerOperation::Convolution(convolution) = &mut network.layers[flatten].operation {
        convolution.fully_connected = true;
    }
    let output = IntegerLayer {
        name: "numbers".to_string(),
        operation: IntegerOperation::Dequantize,
        output: ValueKind::F32,
    };
    network.layers.push(output);
    network
}

type Network = (&'static str, IntegerNetwork, Metadata);

/// All networks of integers, by name. They are made once.
fn integer_networks() -> Vec<Network> {
    static ALL: OnceLock<Vec<Network>> = OnceLock::new();
    let make = || {
        let mut all = Vec::new();
        for (name, quantization) in networks() {
            let Quantization {
                network, metadata, ..
            } = quantization;
            if name == "per_channel" {
                for (name, edited) in [
                    ("one_signed_scale", one_signed_scale(network.clone())),
                    ("fully_connected", fully_connected(network.clone())),
                ] {
                    all.push((name, edited, metadata.clone()));
                }
            }
            all.push((name, network, metadata));
        }
        all
    };
    ALL.get_or_init(make).clone()
}

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
    assert!(error.to_string().contains("integer_network"), "{error}");
}

/// Files whose structure and tensors do not go together.
#[test]
fn broken_safetensors_of_integers_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let (_, network, metadata) = integer_networks().swap_remove(2);
    save_integer_safetensors(&path, &network, &metadata).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let edited = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let place = bytes
            .windows(from.len())
            .position(|part| part == from.as_bytes());
        let mut bytes = bytes.clone();
        bytes[place.unwrap()..][..from.len()].copy_from_slice(to.as_bytes());
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

#[test]
fn the_number_of_threads_changes_nothing() {
    let checkpoint = unbalanced();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| quantized(&checkpoint, &PER_TENSOR).network)
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn ranges_follow_the_method() {
    let checkpoint = random(|metadata| metadata.activation = SavedActivation::Relu);
    let scale = |range| {
        let options = QuantizeOptions {
            range,
            ..QuantizeOptions::default()
        };
        match quantized(&checkpoint, &options).network.layers[4].output {
            ValueKind::Quantized(quantized) => quantized.scale,
            ValueKind::F32 => panic!("numbers"),
        }
    };
    let whole = scale(RangeMethod::MinMax);
    assert!(scale(RangeMethod::Percentile(0.01)) < 0.8 * whole);
    assert!(scale(RangeMethod::MeanSquareError) <= whole);
}

#[test]
fn impossible_settings_are_errors() {
    let checkpoint = random(|_| {});
    let images = images(&checkpoint, 0..1);
    let error = |images: &[Vec<f32>], options: QuantizeOptions| {
        quantize(&checkpoint, images, &options)
            .unwrap_err()
            .to_string()
    };
    let options = QuantizeOptions::default();
    assert!(error(&[], options).contains("photos for calibration must be at least 1"));
    assert!(error(&[vec![0.0; 7]], options).contains("expected 12288"));
    for weight_bits in [1, 9] {
        let options = QuantizeOptions {
            weight_bits,
            ..options
        };
        assert!(error(&images, options).contains("weight_bits must be 2 to 8"));
    }
    let range = RangeMethod::Percentile(0.5);
    let options = QuantizeOptions { range, ..options };
    assert!(error(&images, options).contains("less than 0.5"));
}

/// Seven bits: no sum of two products exceeds what 16 bits hold.
#[test]
fn weights_keep_within_their_bits() {
    let options = QuantizeOptions {
        weight_bits: 7,
        ..QuantizeOptions::default()
    };
    for options in [
        options,
        QuantizeOptions {
            weight_bits: 7,
            ..PER_TENSOR
        },
    ] {
        for layer in &quantized(&random(|_| {}), &options).network.layers {
            let IntegerOperation::Convolution(convolution) = &layer.operation else {
                continue;
            };
            let weights = &convolution.weights;
            let all = (0..weights.values.len()).filter_map(|index| weights.values.get(index));
            let (low, high) = all.fold((255, -128), |(low, high), q| (q.min(low), q.max(high)));
            match weights.values.integer() {
                IntegerType::I8 => assert!(low >= -63 && high <= 63 && high - low > 60),
                IntegerType::U8 => assert!(low >= 1 && high <= 127 && high - low > 110),
            }
        }
    }
}

/// Writes files that `golden/integer_export.py` runs in LiteRT and ONNX Runtime, and what each layer
/// makes of an image.
#[test]
#[ignore = "writes files for a Python script"]
fn files_for_other_engines() {
    let folder = tempfile::tempdir().unwrap().keep();
    for (name, network, metadata) in integer_networks() {
        let path = |ending: &str| folder.join(format!("{name}.{ending}"));
        save_integer_tflite(&path("tflite"), &network, &metadata).unwrap();
        if name != "fully_connected" {
            save_integer_onnx(&path("onnx"), &network, &metadata).unwrap();
        }
        write_layers(&folder, name, network);
    }
    println!("{}", folder.display());
}

/// `NAME.image` and, for each layer, `NAME.layer.LAYER`: bytes, in the layer's own type.
fn write_layers(folder: &Path, name: &str, network: IntegerNetwork) {
    let [rows, columns, channels] = network.input_shape;
    let pixels = rows * columns * channels;
    let noise = |index: usize| (index.wrapping_mul(2_654_435_761) >> 24) as u8;
    let bytes: Vec<u8> = (0..pixels).map(noise).collect();
    let signed: Vec<i8> = bytes.iter().map(|&byte| (byte ^ 0x80) as i8).collect();
    let numbers: Vec<f32> = bytes
        .iter()
        .map(|&byte| f32::from(byte) / 60.0 - 2.1)
        .collect();
    let image = match network.input {
        ValueKind::F32 => IntegerImages::F32(&numbers),
        ValueKind::Quantized(quantized) => match quantized.integer {
            IntegerType::U8 => IntegerImages::U8(&bytes),
            IntegerType::I8 => IntegerImages::I8(&signed),
        },
    };
    let raw: Vec<u8> = match network.input {
        ValueKind::F32 => numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect(),
        ValueKind::Quantized(quantized) => match quantized.integer {
            IntegerType::U8 => bytes.clone(),
            IntegerType::I8 => signed.iter().map(|&value| value as u8).collect(),
        },
    };
    std::fs::write(folder.join(format!("{name}.image")), raw).unwrap();
    let layers = network.layers.clone();
    for arithmetic in [Arithmetic::Xnnpack, Arithmetic::Reference] {
        let packed = PackedIntegers::new(network.clone(), arithmetic, Isa::best().unwrap());
        let packed = Arc::new(packed.unwrap());
        for (index, layer) in layers.iter().enumerate() {
            let config = IntegerProgramConfig {
                size: [rows, columns],
                outputs: vec![index],
                threads: 1,
            };
            let mut program = IntegerProgram::new(packed.clone(), &config).unwrap();
            let count = program.output_shapes()[0].iter().product();
            let raw: Vec<u8> = match layer.output {
                ValueKind::F32 => {
                    let mut output = vec![0f32; count];
                    program
                        .run(&image, &mut [IntegerOutput::F32(&mut output)])
                        .unwrap();
                    output
                        .iter()
                        .flat_map(|number| number.to_le_bytes())
                        .collect()
                }
                ValueKind::Quantized(quantized) => match quantized.integer {
                    IntegerType::U8 => {
                        let mut output = vec![0u8; count];
                        program
                            .run(&image, &mut [IntegerOutput::U8(&mut output)])
                            .unwrap();
                        output
                    }
                    IntegerType::I8 => {
                        let mut output = vec![0i8; count];
                        program
                            .run(&image, &mut [IntegerOutput::I8(&mut output)])
                            .unwrap();
                        output.iter().map(|&value| value as u8).collect()
                    }
                },
            };
            let file = format!("{name}.{arithmetic:?}.{}", layer.name);
            std::fs::write(folder.join(file), raw).unwrap();
        }
    }
}
