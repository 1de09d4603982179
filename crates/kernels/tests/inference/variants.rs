//! Compares variants of a program with the plain one: half-precision weights, 8-bit frames, and
//! batches that are divided among threads. Other tests compare the plain program with the
//! reference.

use std::sync::Arc;

use half::{bf16, f16};
use mobilenet_kernels::inference::{
    ConvKind, HeadWeights, ImageLayout, Images, LayerWeights, Normalization, Output, PackedWeights,
    Program, ProgramConfig, WeightType,
};
use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::{Activation, ConvGeometry, KernelError, Padding};

use crate::instruction_sets::on_each_instruction_set;
use crate::layers::{Owned, assert_within, config, last_map, window};
use crate::random::values;

on_each_instruction_set! {
    halved_weights_are_rounded_weights
    halved_weights_take_half_the_memory
    frames_equal_normalised_images
    batches_give_the_bits_of_single_images
}

/// A stem, two separable blocks, and a full convolution. The full convolution keeps f32 weights.
fn network(channels: [usize; 3]) -> Vec<Owned> {
    let [stem, middle, last] = channels;
    let conv = |inputs, outputs, stride, seed| {
        let window = window([3, 3], stride, 1, Padding::Same);
        let activation = Activation::Relu6;
        Owned::new(ConvKind::Conv, window, [inputs, outputs], activation, seed)
    };
    let depthwise = |channels, seed| {
        let window = window([3, 3], 1, 1, Padding::Same);
        let activation = Activation::Relu;
        Owned::new(ConvKind::Depthwise, window, [channels; 2], activation, seed)
    };
    let pointwise = |inputs, outputs, seed| {
        let window = ConvGeometry::POINTWISE;
        let activation = Activation::Identity;
        Owned::new(ConvKind::Conv, window, [inputs, outputs], activation, seed)
    };
    vec![
        conv(3, stem, 2, 1),
        depthwise(stem, 2),
        pointwise(stem, middle, 3),
        pointwise(middle, middle, 4),
        depthwise(middle, 5),
        pointwise(middle, last, 6),
        conv(last, last, 1, 7),
    ]
}

const CLASSES: usize = 37;

fn packed(
    weight_type: WeightType,
    isa: Isa,
    layers: &[Owned],
    head: &[f32],
) -> Result<Arc<PackedWeights>, KernelError> {
    let packed: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
    let bias = values(9, CLASSES);
    let head = HeadWeights {
        classes: CLASSES,
        weights: head,
        bias: &bias,
    };
    PackedWeights::of_type(weight_type, isa, &packed, Some(&head)).map(Arc::new)
}

fn logits(network: &Arc<PackedWeights>, config: &ProgramConfig, images: &Images<'_>) -> Vec<f32> {
    let mut program = Program::new(network.clone(), config).unwrap();
    let batch = images.len() / program.input_len();
    let mut logits = vec![f32::NAN; batch * program.output_len()];
    program.run(images, &mut logits).unwrap();
    logits
}

/// The result must have the same bits as with f32 weights that the `half` crate has rounded. The
/// reason is that the conversion to f32 is exact and the order of sums is the same.
fn halved_weights_are_rounded_weights(isa: Isa) {
    type Round = fn(f32) -> f32;
    let types: [(WeightType, Round); 2] = [
        (WeightType::F16, |w| f16::from_f32(w).to_f32()),
        (WeightType::Bf16, |w| bf16::from_f32(w).to_f32()),
    ];
    let image = values(77, 19 * 14 * 3);
    let images = Images::F32(&image, ImageLayout::Nhwc);
    for channels in [[32, 64, 48], [5, 17, 33], [9, 40, 70]] {
        let mut layers = network(channels);
        let mut head = values(8, CLASSES * channels[2]);
        // Subnormal halves, signed zero, and the largest half.
        layers[2].weights[..5].copy_from_slice(&[3e-8, -6.1e-5, 1e-7, -0.0, 65504.0]);
        head[..4].copy_from_slice(&[5e-7, -2.5e-5, 0.0, 1e-9]);
        for (weight_type, round) in types {
            let mut rounded = layers.clone();
            for layer in &mut rounded {
                if layer.geometry.kernel == [1, 1] {
                    layer.weights.iter_mut().for_each(|w| *w = round(*w));
                }
            }
            let rounded_head: Vec<f32> = head.iter().copied().map(round).collect();
            for threads in [1, 2] {
                let config = config(&layers, 19, 14, Output::Logits, threads);
                let plain = packed(WeightType::F32, isa, &rounded, &rounded_head).unwrap();
                let halved = packed(weight_type, isa, &layers, &head).unwrap();
                assert_eq!(
                    logits(&halved, &config, &images),
                    logits(&plain, &config, &images),
                    "{weight_type}, {isa}, {threads} threads"
                );
                // Rounding changes the logits. Otherwise the comparison above would show nothing.
                let exact = packed(WeightType::F32, isa, &layers, &head).unwrap();
                assert_ne!(
                    logits(&halved, &config, &images),
                    logits(&exact, &config, &images)
                );
            }
        }
    }
}

fn halved_weights_take_half_the_memory(isa: Isa) {
    // One side is too narrow for Strassen's scheme, which would store more weights.
    let layers = network([32, 512, 48]);
    let pointwise: usize = (layers.iter())
        .filter(|layer| layer.geometry.kernel == [1, 1])
        .map(|layer| layer.weights.len())
        .sum();
    let head = values(8, CLASSES * 48);
    let bytes = |weight_type| packed(weight_type, isa, &layers, &head).unwrap().bytes();
    let classes = CLASSES.next_multiple_of(isa.lanes());
    let saved = 2 * (pointwise + classes * 48);
    assert_eq!(bytes(WeightType::F32) - bytes(WeightType::F16), saved);
    assert_eq!(bytes(WeightType::F32) - bytes(WeightType::Bf16), saved);
}

#[test]
fn weights_beyond_the_range_of_a_half_are_errors() {
    let mut layers = network([8, 8, 8]);
    let head = values(8, CLASSES * 8);
    layers[2].weights[3] = -70_000.0;
    let of_type = |weight_type| packed(weight_type, Isa::Scalar, &layers, &head);
    let error = of_type(WeightType::F16).unwrap_err();
    assert_eq!(error.to_string(), "weight 70000 is beyond the range of f16");
    assert!(of_type(WeightType::Bf16).is_ok());
    assert!(of_type(WeightType::F32).is_ok());
}

/// Compares frames with images that were normalised before: odd sizes, every padding, dilated
/// stems, padding larger than the map, and shifts that give the padding large values.
fn frames_equal_normalised_images(isa: Isa) {
    let normalization = Normalization {
        scale: vec![1.0 / 127.5, 0.02, -0.013],
        shift: vec![-1.0, 0.7, 2.5],
    };
    let paddings = [
        Padding::Same,
        Padding::VALID,
        Padding::symmetric(1),
        Padding::Explicit {
            top: 0,
            bottom: 1,
            left: 0,
            right: 1,
        },
        Padding::Explicit {
            top: 4,
            bottom: 0,
            left: 1,
            right: 3,
        },
    ];
    for (height, width) in [(9, 12), (7, 7), (11, 5), (6, 23)] {
        for padding in paddings {
            for (stride, dilation) in [(1, 1), (2, 1), (1, 2)] {
                for channels in [3, 20, 33] {
                    let stem = Owned::new(
                        ConvKind::Conv,
                        window([3, 3], stride, dilation, padding),
                        [3, channels],
                        Activation::Identity,
                        1,
                    );
                    frames_equal(isa, &[stem], height, width, &normalization);
                }
            }
        }
    }
    frames_equal(isa, &network([16, 24, 32]), 13, 17, &normalization);
}

fn frames_equal(
    isa: Isa,
    layers: &[Owned],
    height: usize,
    width: usize,
    normalization: &Normalization,
) {
    let frames: Vec<u8> = (0..3 * height * width * 3)
        .map(|i| (i * i * 31 % 256) as u8)
        .collect();
    let images: Vec<f32> = (frames.iter().enumerate())
        .map(|(i, &byte)| f32::from(byte) * normalization.scale[i % 3] + normalization.shift[i % 3])
        .collect();
    let packed: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
    let network = Arc::new(PackedWeights::new(isa, &packed, None).unwrap());
    for threads in [1, 2] {
        let config = ProgramConfig {
            normalization: Some(normalization.clone()),
            ..config(layers, height, width, last_map(layers), threads)
        };
        let expected = logits(&network, &config, &Images::F32(&images, ImageLayout::Nhwc));
        let found = logits(&network, &config, &Images::U8(&frames));
        let what = format!("{height}x{width}, {isa}");
        assert_within(1e-4, &found, &expected, &what);
    }
}

#[test]
fn frames_that_cannot_be_normalised_are_errors() {
    let layers = network([8, 8, 8]);
    let with = |layers: &[Owned], scale: &[f32], shift: &[f32]| {
        let normalization = Some(Normalization {
            scale: scale.to_vec(),
            shift: shift.to_vec(),
        });
        let config = ProgramConfig {
            normalization,
            ..config(layers, 8, 8, last_map(layers), 1)
        };
        let packed: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
        let network = PackedWeights::new(Isa::Scalar, &packed, None)?;
        Program::new(Arc::new(network), &config).map(drop)
    };
    assert!(with(&layers, &[1.0; 3], &[0.0; 3]).is_ok());
    let short = with(&layers, &[1.0], &[0.0; 3]);
    assert!(matches!(
        short,
        Err(KernelError::Length { what: "scale", .. })
    ));
    let none = with(&layers, &[1.0, 0.0, 1.0], &[0.0; 3]);
    assert!(matches!(none, Err(KernelError::Zero { what: "scale" })));
    let depthwise = with(&layers[1..2], &[1.0; 8], &[0.0; 8]);
    assert!(matches!(depthwise, Err(KernelError::Frames { .. })));
}

/// An image has the same bits whether a thread computes it alone or with others.
fn batches_give_the_bits_of_single_images(isa: Isa) {
    let layers = network([16, 40, 24]);
    let (height, width) = (37, 21);
    let image = height * width * 3;
    let images = values(5, 7 * image);
    let head = values(8, CLASSES * 24);
    let network = packed(WeightType::F32, isa, &layers, &head).unwrap();
    let single: Vec<f32> = (images.chunks(image))
        .flat_map(|image| {
            let config = config(&layers, height, width, Output::Logits, 1);
            logits(&network, &config, &Images::F32(image, ImageLayout::Nhwc))
        })
        .collect();
    for threads in [1, 2, 3, 4] {
        let config = config(&layers, height, width, Output::Logits, threads);
        for batch in [1, 2, 3, 4, 7] {
            let images = Images::F32(&images[..batch * image], ImageLayout::Nhwc);
            let found = logits(&network, &config, &images);
            assert_eq!(found, single[..batch * CLASSES], "{batch} on {threads}");
        }
    }
}
