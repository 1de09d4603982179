//! Post-training quantisation of networks with random weights.

use crate::small_networks::{PER_TENSOR, images, quantized, random};
use mobilenet_compress::quantize::{Comparison, QuantizeOptions, RangeMethod, Scheme, quantize};
use mobilenet_kernels::integer::IntegerOperation;
use mobilenet_model::checkpoint::{Checkpoint, SavedActivation};
use mobilenet_model::initialize::Parameters;
use mobilenet_model::quantized::{IntegerType, ValueKind};

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
