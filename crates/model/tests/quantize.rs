//! Post-training quantisation of networks with random weights, and the files of what it makes.

mod support;

use mobilenet_kernels::integer::{IntegerOperation, IntegerType, Integers, ValueKind};
use mobilenet_model::checkpoint::{
    Checkpoint, LoadReport, Metadata, ReadLimits, SavedActivation, load, save_integer_onnx,
    save_integer_tflite,
};
use mobilenet_model::initialize::{Parameters, random_parameters};
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::quantize::{
    Comparison, Quantization, QuantizeOptions, RangeMethod, Scheme, quantize,
};
use mobilenet_model::PaddingRule;

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
    quantize(checkpoint, &images(checkpoint, 0..12), options).unwrap()
}

/// Compares on images that were not used for calibration.
fn compared(checkpoint: &Checkpoint, options: &QuantizeOptions) -> Comparison {
    let quantization = quantized(checkpoint, options);
    let mut comparison = quantization.comparison();
    for image in images(checkpoint, 100..120) {
        quantization.compare(&image, &mut comparison).unwrap();
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
        assert!(comparison.agreement() >= 0.8, "{}", comparison.agreement());
        let narrow = QuantizeOptions {
            weight_bits: 4,
            ..options
        };
        let narrow = compared(&random(|_| {}), &narrow);
        assert!(last_decibels(&narrow) < last_decibels(&comparison) - 5.0);
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
