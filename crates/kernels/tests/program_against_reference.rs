//! Programs of a few layers against the naive reference, by every instruction set that the machine
//! has: channels around the vectors' sizes, odd and non-square maps, strides, dilations, paddings,
//! 1 to 3 threads.

mod support;

use std::sync::Arc;

use mobilenet_kernels::inference::{
    Head, ImageLayout, Images, Layer, LayerKind, Normalization, Output, PackedNetwork, Program,
    ProgramConfig,
};
use mobilenet_kernels::simd::{Isa, measure_peak};
use mobilenet_kernels::{Activation, ConvGeometry, KernelError, Padding, reference};
use proptest::prelude::*;
use support::{Owned, assert_within, cases, config, instruction_sets, values, window};

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_within(2e-5, found, expected, what);
}

#[test]
fn avx2_is_tested_where_ci_runs() {
    let sets = instruction_sets();
    if cfg!(target_arch = "x86_64") && std::env::var_os("CI").is_some() {
        assert!(sets.contains(&Isa::Avx2), "CI must test AVX2");
    }
    if cfg!(target_arch = "aarch64") {
        assert!(sets.contains(&Isa::Neon));
    }
}

fn program(isa: Isa, layers: &[Owned], config: &ProgramConfig) -> Result<Program, KernelError> {
    let packed: Vec<Layer<'_>> = layers.iter().map(Owned::layer).collect();
    Program::new(Arc::new(PackedNetwork::new(isa, &packed, None)?), config)
}

fn check(layers: &[Owned], height: usize, width: usize, threads: usize) {
    let input = values(77, height * width * layers[0].channels[0]);
    let (mut expected, mut h, mut w) = (input.clone(), height, width);
    for layer in layers {
        (expected, h, w) = layer.reference(&expected, h, w);
    }
    for isa in instruction_sets() {
        let config = config(layers, height, width, Output::Map, threads);
        let mut program = program(isa, layers, &config).unwrap();
        assert_eq!(
            program.output_shape(),
            [h, w, layers.last().unwrap().channels[1]]
        );
        let mut output = vec![f32::NAN; program.output_len()];
        // Twice: what one run leaves in the arena must not show in the next.
        for _ in 0..2 {
            program
                .run(&Images::F32(&input, ImageLayout::Nhwc), &mut output)
                .unwrap();
            assert_close(&output, &expected, &format!("{isa}, {threads} threads"));
        }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(150)))]

    /// Stem, depthwise, pointwise, and once more: every kind of step, and maps that take turns.
    #[test]
    fn chains_equal_reference(
        (height, width) in (3usize..20, 3usize..20),
        inputs in 1usize..5,
        (stem, middle, last) in (channels(), channels(), channels()),
        kernel in prop::sample::select(vec![[3, 3], [5, 5], [3, 1], [1, 1]]),
        (first_stride, stride) in (1usize..3, 1usize..3),
        dilation in prop::sample::select(vec![1usize, 2, 4]),
        (first_padding, padding) in (paddings(), paddings()),
        activation in prop::sample::select(vec![Activation::Relu6, Activation::Relu, Activation::Identity]),
        threads in 1usize..4,
        seed: u64,
    ) {
        let layers = [
            Owned::new(LayerKind::Conv, window(kernel, first_stride, 1, first_padding), [inputs, stem], activation, seed),
            Owned::new(LayerKind::Depthwise, window([3, 3], stride, dilation, padding), [stem, stem], Activation::Relu6, seed ^ 1),
            Owned::new(LayerKind::Conv, ConvGeometry::POINTWISE, [stem, middle], Activation::Relu6, seed ^ 2),
            Owned::new(LayerKind::Depthwise, window(kernel, 1, 1, Padding::Same), [middle, middle], activation, seed ^ 3),
            Owned::new(LayerKind::Conv, window([3, 3], 1, dilation, Padding::Same), [middle, last], activation, seed ^ 4),
        ];
        let fits = layers.iter().try_fold((height, width), |(h, w), layer| {
            let size = layer.geometry.resolve(1, h, w).ok()?;
            Some((size.rows.output, size.columns.output))
        });
        if fits.is_some() {
            for end in 1..=layers.len() {
                check(&layers[..end], height, width, threads);
            }
        }
    }
}

#[test]
fn maps_as_large_as_real_ones_equal_reference() {
    let depthwise = |channels, stride| {
        Owned::new(
            LayerKind::Depthwise,
            window([3, 3], stride, 1, Padding::Same),
            [channels; 2],
            Activation::Relu6,
            5,
        )
    };
    let pointwise = |i, o| {
        Owned::new(
            LayerKind::Conv,
            ConvGeometry::POINTWISE,
            [i, o],
            Activation::Relu6,
            6,
        )
    };
    let stem = Owned::new(
        LayerKind::Conv,
        window([3, 3], 2, 1, Padding::Same),
        [3, 32],
        Activation::Relu6,
        7,
    );
    for threads in [1, 2] {
        check(
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
        check(&[depthwise(128, 1), pointwise(128, 160)], 14, 14, threads);
        check(&[depthwise(256, 1), pointwise(256, 96)], 7, 7, threads);
    }
}

#[test]
fn features_logits_layouts_and_batches() {
    let layers = [
        Owned::new(
            LayerKind::Conv,
            window([3, 3], 2, 1, Padding::Same),
            [3, 20],
            Activation::Relu6,
            1,
        ),
        Owned::new(
            LayerKind::Depthwise,
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
    let head = Head {
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
    let packed: Vec<Layer<'_>> = layers.iter().map(Owned::layer).collect();
    for isa in instruction_sets() {
        let network = Arc::new(PackedNetwork::new(isa, &packed, Some(&head)).unwrap());
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
}

#[test]
fn nan_goes_through() {
    let layers = [
        Owned::new(
            LayerKind::Depthwise,
            window([3, 3], 1, 1, Padding::Same),
            [8, 8],
            Activation::Relu6,
            2,
        ),
        Owned::new(
            LayerKind::Conv,
            ConvGeometry::POINTWISE,
            [8, 8],
            Activation::Relu6,
            3,
        ),
    ];
    for isa in instruction_sets() {
        let mut program = program(isa, &layers, &config(&layers, 4, 4, Output::Map, 1)).unwrap();
        let mut output = vec![0.0; program.output_len()];
        program
            .run(
                &Images::F32(&[f32::NAN; 128], ImageLayout::Nhwc),
                &mut output,
            )
            .unwrap();
        assert!(output.iter().all(|value| value.is_nan()), "{isa}");
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let layers = [Owned::new(
        LayerKind::Conv,
        window([3, 3], 1, 1, Padding::VALID),
        [3, 4],
        Activation::Relu6,
        2,
    )];
    let with = |height, threads| {
        program(
            Isa::Scalar,
            &layers,
            &config(&layers, height, 8, Output::Map, threads),
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
    assert!(PackedNetwork::new(Isa::Scalar, &[broken.layer()], None).is_err());
    let large = Owned::new(
        LayerKind::Conv,
        window([9, 9], 1, 1, Padding::Same),
        [1, 1],
        Activation::Relu,
        1,
    );
    assert!(
        self::program(
            Isa::Scalar,
            std::slice::from_ref(&large),
            &config(std::slice::from_ref(&large), 9, 9, Output::Map, 1)
        )
        .is_err()
    );
}

#[test]
fn the_peak_is_a_speed() {
    assert!(measure_peak(Isa::Scalar) > 0.1);
}
