//! Compares separable blocks that are large enough for Strassen's scheme with the naive reference,
//! on every instruction set. The cases are maps with even and odd numbers of pixels, channels that
//! fill the last pair of panels or do not, and 1 to 4 threads. All numbers of threads must give the
//! same bits.

use std::sync::Arc;

use mobilenet_kernels::inference::{
    ConvKind, ImageLayout, Images, LayerWeights, PackedWeights, Program, WeightType,
};
use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::{Activation, ConvGeometry, KernelError, Padding};
use proptest::prelude::*;

use crate::instruction_sets::on_each_instruction_set;
use crate::layers::{Owned, assert_within, config, last_map, window};
use crate::random::{cases, values};

fn block(channels: [usize; 2], stride: usize, activation: Activation, seed: u64) -> [Owned; 2] {
    let spread = window([3, 3], stride, 1, Padding::Same);
    [
        Owned::new(
            ConvKind::Depthwise,
            spread,
            [channels[0]; 2],
            Activation::Relu6,
            seed,
        ),
        Owned::new(
            ConvKind::Conv,
            ConvGeometry::POINTWISE,
            channels,
            activation,
            seed ^ 1,
        ),
    ]
}

fn pack(isa: Isa, layers: &[Owned]) -> Arc<PackedWeights> {
    let layers: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
    Arc::new(PackedWeights::new(isa, &layers, None).unwrap())
}

on_each_instruction_set! {
    blocks_equal_reference
    large_products_have_seven_blocks_of_weights
}

fn blocks_equal_reference(isa: Isa) {
    let activations = vec![Activation::Relu6, Activation::Identity];
    proptest!(cases(30), |(
        (height, width) in (1usize..18, 1usize..18),
        inputs in prop::sample::select(vec![64usize, 96, 128, 320]),
        outputs in prop::sample::select(vec![64usize, 96, 128, 160, 224]),
        stride in 1usize..3,
        activation in prop::sample::select(activations),
        seed: u64,
    )| {
        let layers = block([inputs, outputs], stride, activation, seed);
        let input = values(!seed, 2 * height * width * inputs);
        let mut expected = Vec::new();
        for image in input.chunks(height * width * inputs) {
            let (map, h, w) = layers[0].reference(image, height, width);
            expected.extend(layers[1].reference(&map, h, w).0);
        }
        let network = pack(isa, &layers);
        let mut first = None;
        for threads in 1..5 {
            let config = config(&layers, height, width, last_map(&layers), threads);
            let mut program = Program::new(network.clone(), &config).unwrap();
            let mut output = vec![f32::NAN; expected.len()];
            for _ in 0..2 {
                program.run(&Images::F32(&input, ImageLayout::Nhwc), &mut output).unwrap();
                assert_within(2e-5, &output, &expected, &format!("{isa}, {threads} threads"));
            }
            let first = first.get_or_insert_with(|| output.clone());
            prop_assert_eq!(&*first, &output, "{}, {} threads", isa, threads);
        }
    });
}

/// Checks that the blocks of the test above use the scheme. Its weights are 7/4 of the plain size.
fn large_products_have_seven_blocks_of_weights(isa: Isa) {
    let bytes = |channels| {
        let layers = block(channels, 1, Activation::Relu6, 3);
        pack(isa, &layers).bytes()
    };
    let [small, large] = [[32, 256], [64, 256]].map(bytes);
    assert!(small < 4 * 32 * 256 * 5 / 4, "{isa}: {small}");
    assert!(large >= 4 * 64 * 256 * 7 / 4, "{isa}: {large}");
}

#[test]
fn halves_keep_the_plain_form() {
    let layers = block([128, 128], 1, Activation::Relu6, 3);
    let layers: Vec<LayerWeights<'_>> = layers.iter().map(Owned::layer).collect();
    let network = PackedWeights::of_type(WeightType::F16, Isa::Scalar, &layers, None).unwrap();
    assert!(network.bytes() < 2 * 128 * 128 + 4 * 128 * 16);
}

#[test]
fn a_stride_that_was_not_packed_is_refused() {
    let mut layers = block([64, 64], 1, Activation::Relu6, 3);
    let network = pack(Isa::Scalar, &layers);
    layers[1].geometry = window([1, 1], 2, 1, Padding::Same);
    let config = config(&layers, 6, 6, last_map(&layers), 1);
    let error = Program::new(network, &config).unwrap_err();
    assert!(
        matches!(error, KernelError::Unsupported { .. }),
        "{error:?}"
    );
}

/// Shapes whose weights exceed any memory are errors, whether or not their size overflows.
#[cfg(target_pointer_width = "64")]
#[test]
fn impossible_shapes_are_refused() {
    for channels in [1 << 24, 1 << 31, 1 << 62] {
        let mut layer = block([64, 64], 1, Activation::Relu6, 3)[1].clone();
        layer.channels = [channels; 2];
        let error = PackedWeights::new(Isa::Scalar, &[layer.layer()], None).unwrap_err();
        assert!(
            matches!(
                error,
                KernelError::Length { .. } | KernelError::Overflow { .. }
            ),
            "{error:?}"
        );
        let shape = layer.layer().shape;
        if channels > 1 << 30 {
            let packer = mobilenet_kernels::inference::Packer::new;
            let error = packer(WeightType::F32, Isa::Scalar, &[shape], Some(10)).unwrap_err();
            assert_eq!(error, KernelError::Overflow { what: "weights" });
        }
    }
}
