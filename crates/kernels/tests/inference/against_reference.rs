//! Compares programs of a few layers with the naive reference, on every instruction set: channel
//! counts around the vector length, odd and non-square maps, strides, dilations, paddings, 1 to 3
//! threads.

use std::sync::Arc;

use mobilenet_kernels::inference::{
    ConvKind, HeadWeights, ImageLayout, Images, LayerWeights, Normalization, Output, PackedWeights,
    Program, ProgramConfig,
};
use mobilenet_kernels::simd::Isa;
#[cfg(not(target_arch = "wasm32"))]
use mobilenet_kernels::simd::{measure_bandwidth, measure_peak};
use mobilenet_kernels::{Activation, ConvGeometry, KernelError, Padding, reference};
use proptest::prelude::*;

use crate::instruction_sets::on_each_instruction_set;
use crate::layers::{Owned, assert_within, config, last_map, window};
use crate::random::{cases, values};

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_within(2e-5, found, expected, what);
}

on_each_instruction_set! {
    chains_equal_reference
    maps_as_large_as_real_ones_equal_reference
    convolutions_with_many_weights_equal_reference
    features_logits_layouts_and_batches
    several_outputs_equal_single_ones
    nan_goes_through
}

fn program(isa: Isa, layers: &[Owned], config: &ProgramConfig) -> Result<Program, KernelError> {
    let packed: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
    Program::new(Arc::new(PackedWeights::new(isa, &packed, None)?), config)
}

fn check(isa: Isa, layers: &[Owned], height: usize, width: usize, threads: usize) {
    let input = values(77, height * width * layers[0].channels[0]);
    let (mut expected, mut h, mut w) = (input.clone(), height, width);
    for layer in layers {
        (expected, h, w) = layer.reference(&expected, h, w);
    }
    let config = config(layers, height, width, last_map(layers), threads);
    let mut program = program(isa, layers, &config).unwrap();
    assert_eq!(
        program.output_shape(),
        [h, w, layers.last().unwrap().channels[1]]
    );
    let mut output = vec![f32::NAN; program.output_len()];
    // The second run must not read values that the first one left in the arena.
    for _ in 0..2 {
        program
            .run(&Images::F32(&input, ImageLayout::Nhwc), &mut output)
            .unwrap();
        assert_close(&output, &expected, &format!("{isa}, {threads} threads"));
    }
}

fn paddings() -> impl Strategy<Value = Padding> {
    prop_oneof![
        Just(Padding::Same),
        Just(Padding::symmetric(1)),
        Just(Padding::symmetric(2)),
        Just(Padding::Explicit {
            top: 0,
            bottom: 1,
            left: 0,
            right: 1
        }),
        Just(Padding::Explicit {
            top: 2,
            bottom: 0,
            left: 1,
            right: 3
        }),
    ]
}

fn channels() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![
        1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 65,
    ])
}

/// A stem and two separable blocks. They contain every kind of operation, and maps that share
/// memory.
fn chains_equal_reference(isa: Isa) {
    let kernels = prop::sample::select(vec![[3, 3], [5, 5], [3, 1], [1, 1]]);
    let activations = vec![Activation::Relu6, Activation::Relu, Activation::Identity];
    proptest!(cases(150), |(
        (height, width) in (3usize..20, 3usize..20),
        inputs in 1usize..5,
        (stem, middle, last) in (channels(), channels(), channels()),
        kernel in kernels,
        (first_stride, stride) in (1usize..3, 1usize..3),
        dilation in prop::sample::select(vec![1usize, 2, 4]),
        (first_padding, padding) in (paddings(), paddings()),
        activation in prop::sample::select(activations),
        threads in 1usize..4,
        seed: u64,
    )| {
        let layers = [
            Owned::new(ConvKind::Conv, window(kernel, first_stride, 1, first_padding), [inputs, stem], activation, seed),
            Owned::new(ConvKind::Depthwise, window([3, 3], stride, dilation, padding), [stem, stem], Activation::Relu6, seed ^ 1),
            Owned::new(ConvKind::Conv, ConvGeometry::POINTWISE, [stem, middle], Activation::Relu6, seed ^ 2),
            Owned::new(ConvKind::Depthwise, window(kernel, 1, 1, Padding::Same), [middle, middle], activation, seed ^ 3),
            Owned::new(ConvKind::Conv, window([3, 3], 1, dilation, Padding::Same), [middle, last], activation, seed ^ 4),
        ];
        let fits = layers.iter().try_fold((height, width), |(h, w), layer| {
            let size = layer.geometry.resolve(1, h, w).ok()?;
            Some((size.rows.output, size.columns.output))
        });
        if fits.is_some() {
            for end in 1..=layers.len() {
                check(isa, &layers[..end], height, width, threads);
            }
        }
    });
}

fn maps_as_large_as_real_ones_equal_reference(isa: Isa) {
    let depthwise = |channels, stride| {
        Owned::new(
            ConvKind::Depthwise,
            window([3, 3], stride, 1, Padding::Same),
            [channels; 2],
            Activation::Relu6,
            5,
        )
    };
    let pointwise = |i, o| {
        Owned::new(
            ConvKind::Conv,
            ConvGeometry::POINTWISE,
            [i, o],
            Activation::Relu6,
            6,
        )
    };
    let stem = Owned::new(
        ConvKind::Conv,
        window([3, 3], 2, 1, Padding::Same),
        [3, 32],
        Activation::Relu6,
        7,
    );
    for threads in [1, 2] {
        check(
            isa,
            &[
                stem.clone(),
                depthwise(32, 1),
                pointwise(32, 64),
                depthwise(64, 2),
            ],
            96,
            64,
            threads,
        );
        check(
            isa,
            &[depthwise(128, 1), pointwise(128, 160)],
            14,
            14,
            threads,
        );
        check(isa, &[depthwise(256, 1), pointwise(256, 96)], 7, 7, threads);
    }
}

/// More weights than a near cache holds, and on the smaller map also more than there are pixels: rows are
/// computed together, and threads have their own panels.
fn convolutions_with_many_weights_equal_reference(isa: Isa) {
    let layer = |stride| {
        let window = window([3, 3], stride, 1, Padding::Same);
        Owned::new(ConvKind::Conv, window, [88, 104], Activation::Relu6, 8)
    };
    for threads in [1, 2, 3] {
        check(isa, &[layer(2)], 11, 9, threads);
        check(isa, &[layer(1)], 33, 29, threads);
    }
}

fn features_logits_layouts_and_batches(isa: Isa) {
    let layers = [
        Owned::new(
            ConvKind::Conv,
            window([3, 3], 2, 1, Padding::Same),
            [3, 20],
            Activation::Relu6,
            1,
        ),
        Owned::new(
            ConvKind::Depthwise,
            window([3, 3], 1, 1, Padding::Same),
            [20, 20],
            Activation::Relu6,
            2,
        ),
    ];
    let (height, width, classes) = (9, 12, 37);
    let bytes: Vec<u8> = (0..2 * height * width * 3)
        .map(|i| (i * 53 % 256) as u8)
        .collect();
    let normalization = Normalization {
        scale: vec![0.01, 0.02, 0.03],
        shift: vec![-1.0, 0.0, 0.5],
    };
    let nhwc: Vec<f32> = bytes
        .iter()
        .enumerate()
        .map(|(i, &byte)| f32::from(byte) * normalization.scale[i % 3] + normalization.shift[i % 3])
        .collect();
    let pixels = height * width;
    let nchw: Vec<f32> = (0..nhwc.len())
        .map(|i| nhwc[i / (3 * pixels) * 3 * pixels + i % pixels * 3 + i / pixels % 3])
        .collect();
    let (weights, bias) = (values(8, classes * 20), values(9, classes));
    let head = HeadWeights {
        classes,
        weights: &weights,
        bias: &bias,
    };
    let mut expected = Vec::new();
    let mut expected_features = Vec::new();
    for image in nhwc.chunks(3 * pixels) {
        let (map, h, w) = layers[0].reference(image, height, width);
        let (map, h, w) = layers[1].reference(&map, h, w);
        let features: Vec<f32> = (0..20)
            .map(|c| map.iter().skip(c).step_by(20).sum::<f32>() / (h * w) as f32)
            .collect();
        let logits = reference::pointwise(&features, &weights, Some(&bias), 1, 20, classes);
        expected.extend(logits.iter().map(|&v| v as f32));
        expected_features.extend(features);
    }
    let packed: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
    let network = Arc::new(PackedWeights::new(isa, &packed, Some(&head)).unwrap());
    for threads in [1, 2] {
        let config_of_frames = ProgramConfig {
            normalization: Some(normalization.clone()),
            ..config(&layers, height, width, Output::Logits, threads)
        };
        let mut program = Program::new(network.clone(), &config_of_frames).unwrap();
        for images in [
            Images::F32(&nhwc, ImageLayout::Nhwc),
            Images::F32(&nchw, ImageLayout::Nchw),
            Images::U8(&bytes),
        ] {
            let mut logits = vec![f32::NAN; 2 * classes];
            program.run(&images, &mut logits).unwrap();
            assert_close(&logits, &expected, &format!("{isa} logits"));
        }
        let mut program = Program::new(
            network.clone(),
            &config(&layers, height, width, Output::Features, threads),
        )
        .unwrap();
        let mut features = vec![f32::NAN; 2 * 20];
        program
            .run(&Images::F32(&nhwc, ImageLayout::Nhwc), &mut features)
            .unwrap();
        assert_close(&features, &expected_features, &format!("{isa} features"));
    }
}

/// Several outputs from one run. Each must have the same bits as the output of a program for it
/// alone. Some of the maps lie between two layers that are otherwise fused into one operation.
fn several_outputs_equal_single_ones(isa: Isa) {
    let conv = |inputs, outputs, stride, seed| {
        let window = window([3, 3], stride, 1, Padding::Same);
        Owned::new(
            ConvKind::Conv,
            window,
            [inputs, outputs],
            Activation::Relu6,
            seed,
        )
    };
    let depthwise = |channels, stride, seed| {
        let window = window([3, 3], stride, 1, Padding::Same);
        Owned::new(
            ConvKind::Depthwise,
            window,
            [channels; 2],
            Activation::Relu6,
            seed,
        )
    };
    let pointwise = |inputs, outputs, seed| {
        let window = ConvGeometry::POINTWISE;
        Owned::new(
            ConvKind::Conv,
            window,
            [inputs, outputs],
            Activation::Relu6,
            seed,
        )
    };
    let layers = [
        conv(3, 16, 2, 1),
        depthwise(16, 1, 2),
        pointwise(16, 64, 3),
        depthwise(64, 2, 4),
        pointwise(64, 96, 5),
        depthwise(96, 1, 6),
        pointwise(96, 40, 7),
        conv(40, 24, 2, 8),
    ];
    let (height, width, classes) = (37, 30, 11);
    let (weights, bias) = (values(8, classes * 24), values(9, classes));
    let head = HeadWeights {
        classes,
        weights: &weights,
        bias: &bias,
    };
    let packed: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
    let network = Arc::new(PackedWeights::new(isa, &packed, Some(&head)).unwrap());
    let image = height * width * 3;
    let images = values(5, 3 * image);
    let images = Images::F32(&images, ImageLayout::Nhwc);
    let outputs = [
        Output::Map(2),
        Output::Logits,
        Output::Map(0),
        Output::Map(7),
        Output::Map(6),
        Output::Features,
        Output::Map(2),
        Output::Map(4),
    ];
    for with in [outputs.as_slice(), &[Output::Map(4), Output::Map(1)]] {
        for threads in [1, 2, 3] {
            let single = |&output: &Output| {
                let config = config(&layers, height, width, output, threads);
                let mut program = Program::new(network.clone(), &config).unwrap();
                let mut values = vec![f32::NAN; 3 * program.output_len()];
                program.run(&images, &mut values).unwrap();
                values
            };
            let config = ProgramConfig {
                outputs: with.to_vec(),
                ..config(&layers, height, width, Output::Logits, threads)
            };
            let mut program = Program::new(network.clone(), &config).unwrap();
            let mut found: Vec<Vec<f32>> = (program.output_shapes().iter())
                .map(|shape| vec![f32::NAN; 3 * shape.iter().product::<usize>()])
                .collect();
            for _ in 0..2 {
                let mut slices: Vec<_> = found.iter_mut().map(Vec::as_mut_slice).collect();
                program.run_all(&images, &mut slices).unwrap();
            }
            let expected: Vec<Vec<f32>> = with.iter().map(single).collect();
            assert!(found == expected, "{isa}, {threads} threads");
            let mut first = found.swap_remove(0);
            let error = program.run(&images, &mut first);
            assert!(matches!(error, Err(KernelError::Length { .. })));
        }
    }
}

fn nan_goes_through(isa: Isa) {
    let layers = [
        Owned::new(
            ConvKind::Depthwise,
            window([3, 3], 1, 1, Padding::Same),
            [8, 8],
            Activation::Relu6,
            2,
        ),
        Owned::new(
            ConvKind::Conv,
            ConvGeometry::POINTWISE,
            [8, 8],
            Activation::Relu6,
            3,
        ),
    ];
    let mut program = program(isa, &layers, &config(&layers, 4, 4, last_map(&layers), 1)).unwrap();
    let mut output = vec![0.0; program.output_len()];
    program
        .run(
            &Images::F32(&[f32::NAN; 128], ImageLayout::Nhwc),
            &mut output,
        )
        .unwrap();
    assert!(output.iter().all(|value| value.is_nan()), "{isa}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let layers = [Owned::new(
        ConvKind::Conv,
        window([3, 3], 1, 1, Padding::VALID),
        [3, 4],
        Activation::Relu6,
        2,
    )];
    let with = |height, threads| {
        program(
            Isa::Scalar,
            &layers,
            &config(&layers, height, 8, last_map(&layers), threads),
        )
    };
    assert!(matches!(
        with(2, 1).unwrap_err(),
        KernelError::KernelTooLarge { .. }
    ));
    assert!(matches!(
        with(8, 0).unwrap_err(),
        KernelError::Zero { what: "threads" }
    ));
    let mut program = with(8, 1).unwrap();
    let mut output = vec![0.0; program.output_len()];
    assert!(
        program
            .run(&Images::F32(&[0.0; 5], ImageLayout::Nhwc), &mut output)
            .is_err()
    );
    assert!(
        program
            .run(&Images::F32(&[], ImageLayout::Nhwc), &mut output)
            .is_err()
    );
    assert!(
        program
            .run(
                &Images::F32(&[0.0; 192], ImageLayout::Nhwc),
                &mut output[1..]
            )
            .is_err()
    );
    let error = program.run(&Images::U8(&[0; 192]), &mut output);
    assert!(matches!(error, Err(KernelError::Frames { .. })));
    let mut broken = layers[0].clone();
    broken.bias.pop();
    assert!(PackedWeights::new(Isa::Scalar, &[broken.layer()], None).is_err());
    for outputs in [vec![], vec![Output::Map(1)], vec![Output::Logits]] {
        let config = ProgramConfig {
            outputs,
            ..config(&layers, 8, 8, Output::Map(0), 1)
        };
        assert!(self::program(Isa::Scalar, &layers, &config).is_err());
    }
    let large = Owned::new(
        ConvKind::Conv,
        window([9, 9], 1, 1, Padding::Same),
        [1, 1],
        Activation::Relu,
        1,
    );
    assert!(
        self::program(
            Isa::Scalar,
            std::slice::from_ref(&large),
            &config(std::slice::from_ref(&large), 9, 9, Output::Map(0), 1)
        )
        .is_err()
    );
}

#[cfg(not(target_arch = "wasm32"))] // It has no clock.
#[test]
fn the_peak_is_a_speed() {
    assert!(measure_peak(Isa::Scalar) > 0.1);
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn the_bandwidth_is_a_speed() {
    // No computer reads a terabyte a second with one core: the reads must not be optimised away.
    let speed = measure_bandwidth(Isa::Scalar, 1 << 20);
    assert!((0.1..1000.0).contains(&speed), "{speed} GB/s");
}
