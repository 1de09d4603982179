//! Compares the inference plan with the eager network and with other frameworks' numbers.

use crate::instruction_sets::on_each_instruction_set;
use crate::support::{input, relative_error, weights};
use candle_core::Tensor;
use mobilenet_kernels::inference::{ImageLayout, Normalization, WeightType};
use mobilenet_kernels::simd::Isa;
use mobilenet_model::architecture::{Layer, body_layers};
use mobilenet_model::candle::var_builder;
use mobilenet_model::initialize::random_parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::{
    InferencePlan, LayerKind, MobileNetV1, MobileNetV1Config, ModelError, PaddingRule, PlanOptions,
    PlanOutput, PlanWeights,
};

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn nhwc(tensor: &Tensor) -> Vec<f32> {
    flat(&tensor.permute((0, 2, 3, 1)).unwrap())
}

fn narrow() -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(21),
        ..MobileNetV1Config::mobilenet_v1_025()
    }
}

on_each_instruction_set! {
    odd_sizes_paddings_strides_multipliers
    logits_equal_pytorchs
}

/// Compares plan and eager network on two images of the given size.
fn compare(config: &MobileNetV1Config, height: usize, width: usize, isa: Isa, threads: usize) {
    let parameters = random_parameters(config, 3).unwrap();
    let images = input(height, width);
    let eager = MobileNetV1::new(config, var_builder(parameters.clone()).unwrap()).unwrap();
    let expected = flat(&eager.forward_t(&images, false).unwrap());
    let packed = PlanWeights::for_isa(isa, WeightType::F32, config, &parameters).unwrap();
    let options = PlanOptions {
        output_stride: config.base.output_stride,
        ..PlanOptions::new([height, width], threads)
    };
    let mut plan = InferencePlan::new(&packed, &options).unwrap();
    let mut logits = vec![f32::NAN; 2 * plan.output_len()];
    plan.run(&nhwc(&images), &mut logits).unwrap();
    let error = relative_error(&logits, &expected);
    assert!(
        error <= 1e-4,
        "{height}x{width}, {isa}, {threads} threads: {error:e}"
    );
}

#[test]
fn all_16_sizes() {
    let best = Isa::best().unwrap();
    for width in [1.0, 0.75, 0.5, 0.25] {
        for side in [224, 192, 160, 128] {
            let config = MobileNetV1Config {
                num_classes: Some(1001),
                ..MobileNetV1Config::with_width(width)
            };
            compare(&config, side, side, best, 1 + side / 32 % 2);
        }
    }
}

fn odd_sizes_paddings_strides_multipliers(isa: Isa) {
    for padding in [PaddingRule::Same, PaddingRule::Explicit, PaddingRule::Keras] {
        for output_stride in [None, Some(16), Some(8)] {
            let mut config = narrow();
            config.global_pool = true;
            config.base.padding = padding;
            config.base.output_stride = output_stride;
            compare(&config, 75, 101, isa, 1);
            compare(&config, 64, 33, isa, 2);
        }
    }
    let mut multiplied = narrow();
    multiplied.base.channel_multiplier = 2;
    multiplied.base.in_channels = 3;
    compare(&multiplied, 64, 48, isa, 2);
    compare(&narrow(), 1, 1, isa, 3);
}

fn logits_equal_pytorchs(isa: Isa) {
    let golden = |name: &str| {
        let bytes = std::fs::read(crate::support::golden(name)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let (chunks, []) = file.tensor("logits").unwrap().data().as_chunks::<4>() else {
            panic!()
        };
        chunks
            .iter()
            .map(|chunk| f32::from_le_bytes(*chunk))
            .collect::<Vec<f32>>()
    };
    for (width, name, size) in [
        (0.25, "hugging_face_0.25_128x128.safetensors", [128, 128]),
        (0.5, "hugging_face_0.5_75x101.safetensors", [75, 101]),
    ] {
        let config = MobileNetV1Config {
            num_classes: Some(1001),
            ..MobileNetV1Config::with_width(width)
        };
        let packed =
            PlanWeights::for_isa(isa, WeightType::F32, &config, &weights(&config)).unwrap();
        let mut plan = InferencePlan::new(&packed, &PlanOptions::new(size, 2)).unwrap();
        let mut logits = vec![0.0; 2 * 1001];
        plan.run(&nhwc(&input(size[0], size[1])), &mut logits)
            .unwrap();
        let error = relative_error(&logits, &golden(name));
        println!("{name}, {isa}: {error:.1e}");
        assert!(error <= 1e-4, "{name}, {isa}: {error:e}");
    }
}

#[test]
fn every_endpoint_features_and_both_layouts() {
    let config = narrow();
    let parameters = random_parameters(&config, 3).unwrap();
    let images = input(50, 41);
    let eager = MobileNetV1::new(&config, var_builder(parameters.clone()).unwrap()).unwrap();
    let (_, endpoints) = eager.forward_endpoints(&images, false).unwrap();
    let packed = PlanWeights::new(&config, &parameters).unwrap();
    let run = |output, layout, images: &[f32]| {
        let options = PlanOptions {
            output,
            layout,
            ..PlanOptions::new([50, 41], 2)
        };
        let mut plan = InferencePlan::new(&packed, &options).unwrap();
        let mut output = vec![f32::NAN; 2 * plan.output_len()];
        plan.run(images, &mut output).unwrap();
        output
    };
    for layer in body_layers(&config.base).unwrap() {
        let expected = endpoints.get(&layer.endpoint.to_string()).unwrap();
        let endpoint = PlanOutput::Endpoint(layer.endpoint);
        let found = run(endpoint, ImageLayout::Nhwc, &nhwc(&images));
        assert!(
            relative_error(&found, &nhwc(expected)) <= 1e-4,
            "{}",
            layer.endpoint
        );
        let found = run(endpoint, ImageLayout::Nchw, &flat(&images));
        assert!(
            relative_error(&found, &flat(expected)) <= 1e-4,
            "{}",
            layer.endpoint
        );
    }
    let features = run(PlanOutput::Features, ImageLayout::Nhwc, &nhwc(&images));
    assert!(relative_error(&features, &flat(&eager.features(&images).unwrap())) <= 1e-4);
}

/// One run gives the logits and the maps of all pointwise layers. A detection head reads such maps.
#[test]
fn several_endpoints_from_one_run() {
    let config = narrow();
    let parameters = random_parameters(&config, 3).unwrap();
    let images = input(50, 41);
    let eager = MobileNetV1::new(&config, var_builder(parameters.clone()).unwrap()).unwrap();
    let logits = eager.forward_t(&images, false).unwrap();
    let (_, expected) = eager.forward_endpoints(&images, false).unwrap();
    let layers = body_layers(&config.base).unwrap();
    let pointwise = |layer: &&Layer| layer.endpoint.kind == LayerKind::Pointwise;
    let endpoints = layers.iter().filter(pointwise).map(|layer| layer.endpoint);
    let options = PlanOptions {
        endpoints: endpoints.collect(),
        ..PlanOptions::new([50, 41], 2)
    };
    let packed = PlanWeights::new(&config, &parameters).unwrap();
    let mut plan = InferencePlan::new(&packed, &options).unwrap();
    let mut found: Vec<Vec<f32>> = (plan.output_shapes().iter())
        .map(|shape| vec![f32::NAN; 2 * shape.iter().product::<usize>()])
        .collect();
    let mut outputs: Vec<_> = found.iter_mut().map(Vec::as_mut_slice).collect();
    plan.run_all(&nhwc(&images), &mut outputs).unwrap();
    assert!(relative_error(&found[0], &flat(&logits)) <= 1e-4);
    for (found, endpoint) in found[1..].iter().zip(&options.endpoints) {
        let expected = nhwc(expected.get(&endpoint.to_string()).unwrap());
        assert!(relative_error(found, &expected) <= 1e-4, "{endpoint}");
    }
}

/// 8-bit frames with the normalisation of every rule, on one and two threads. With odd sizes the
/// stem has padding on all sides.
#[test]
fn camera_frames_go_straight_in() {
    let timm = Preprocessing::timm(64, 0.875);
    for preprocessing in [Preprocessing::slim(64), timm] {
        for padding in [PaddingRule::Same, PaddingRule::Explicit, PaddingRule::Keras] {
            let mut config = narrow();
            config.global_pool = true;
            config.base.padding = padding;
            let packed =
                PlanWeights::new(&config, &random_parameters(&config, 3).unwrap()).unwrap();
            for (size, threads) in [([75, 101], 1), ([64, 64], 2), ([33, 50], 1)] {
                let options = PlanOptions::new(size, threads).with_frames(&preprocessing);
                let mut plan = InferencePlan::new(&packed, &options).unwrap();
                let frames: Vec<u8> = (0..2 * plan.input_len())
                    .map(|i| (i * 31 % 251) as u8)
                    .collect();
                let Normalization { scale, shift } = options.frames.as_ref().unwrap();
                let pixels: Vec<f32> = (frames.iter().enumerate())
                    .map(|(i, &byte)| f32::from(byte) * scale[i % 3] + shift[i % 3])
                    .collect();
                let (mut expected, mut found) = ([0.0; 42], [0.0; 42]);
                plan.run(&pixels, &mut expected).unwrap();
                plan.run_u8(&frames, &mut found).unwrap();
                let error = relative_error(&found, &expected);
                assert!(error <= 1e-4, "{padding:?} {size:?}: {error:e}");
            }
        }
    }
    let packed = PlanWeights::new(&narrow(), &random_parameters(&narrow(), 3).unwrap()).unwrap();
    let mut plan = InferencePlan::new(&packed, &PlanOptions::new([64, 64], 1)).unwrap();
    assert!(plan.run_u8(&[0; 64 * 64 * 3], &mut [0.0; 21]).is_err());
}

/// Half-precision weights take half the memory and give nearly the same logits. The tests of the
/// kernels check that the weights are rounded exactly.
#[test]
fn halved_weights_halve_the_memory() {
    let config = MobileNetV1Config {
        num_classes: Some(1001),
        ..MobileNetV1Config::with_width(1.0)
    };
    let parameters = weights(&config);
    let images = nhwc(&input(64, 64));
    let run = |weight_type| {
        let packed = PlanWeights::of_type(weight_type, &config, &parameters).unwrap();
        assert_eq!(packed.weight_type(), weight_type);
        let mut plan = InferencePlan::new(&packed, &PlanOptions::new([64, 64], 1)).unwrap();
        let mut logits = vec![0.0; 2 * 1001];
        plan.run(&images, &mut logits).unwrap();
        (packed.bytes(), logits)
    };
    let (full, expected) = run(WeightType::F32);
    for (weight_type, tolerance) in [(WeightType::F16, 2e-3), (WeightType::Bf16, 2e-2)] {
        let (bytes, logits) = run(weight_type);
        let share = bytes as f64 / full as f64;
        let error = relative_error(&logits, &expected);
        println!("{weight_type}: {bytes} of {full} bytes, {share:.3}; {error:.1e}");
        assert!(share < 0.515, "{share}");
        assert!(
            error <= tolerance && error > 0.0,
            "{weight_type}: {error:e}"
        );
    }
}

/// Several plans of different sizes share the same weights, each on a thread of its own.
#[test]
fn plans_share_weights_and_move_between_threads() {
    let config = narrow();
    let packed = PlanWeights::new(&config, &random_parameters(&config, 3).unwrap()).unwrap();
    let run = |side: usize| {
        let packed = packed.clone();
        move || {
            let mut plan = InferencePlan::new(&packed, &PlanOptions::new([side, side], 1)).unwrap();
            let mut logits = vec![0.0; 21];
            plan.run(&vec![0.5; side * side * 3], &mut logits).unwrap();
            let first = logits.clone();
            for _ in 0..50 {
                plan.run(&vec![0.5; side * side * 3], &mut logits).unwrap();
                assert_eq!(logits, first);
            }
            first
        }
    };
    let threads: Vec<_> = [64, 96, 64]
        .map(|side| std::thread::spawn(run(side)))
        .into_iter()
        .collect();
    let results: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(results[0], results[2]);
    assert_ne!(results[0], results[1]);
}

#[test]
fn batches_equal_single_images_bit_by_bit() {
    let config = narrow();
    let packed = PlanWeights::new(&config, &random_parameters(&config, 3).unwrap()).unwrap();
    let mut plan = InferencePlan::new(&packed, &PlanOptions::new([40, 40], 2)).unwrap();
    let one = plan.input_len();
    let images: Vec<f32> = (0..7 * one).map(|i| (i % 97) as f32 / 50.0 - 1.0).collect();
    let mut batch = vec![0.0; 7 * 21];
    plan.run(&images, &mut batch).unwrap();
    for (image, expected) in images.chunks(one).zip(batch.chunks(21)) {
        let mut logits = [0.0; 21];
        plan.run(image, &mut logits).unwrap();
        assert_eq!(logits, expected);
    }
}

/// Many runs on two threads give the same bits. `MOBILENET_LONG_RUN` sets their number.
#[test]
fn a_long_run_gives_the_same_bits_each_time() {
    let runs = std::env::var("MOBILENET_LONG_RUN").ok();
    let runs: usize = runs.and_then(|runs| runs.parse().ok()).unwrap_or(2_000);
    let config = MobileNetV1Config::mobilenet_v1_025();
    let packed = PlanWeights::new(&config, &random_parameters(&config, 3).unwrap()).unwrap();
    let mut plan = InferencePlan::new(&packed, &PlanOptions::new([128, 128], 2)).unwrap();
    let image: Vec<f32> = (0..plan.input_len())
        .map(|i| (i % 89) as f32 / 45.0 - 1.0)
        .collect();
    let (mut first, mut logits) = (vec![0.0; 1000], vec![0.0; 1000]);
    plan.run(&image, &mut first).unwrap();
    for run in 0..runs {
        plan.run(&image, &mut logits).unwrap();
        assert_eq!(logits, first, "run {run}");
    }
}

#[test]
fn impossible_plans_are_errors() {
    let config = narrow();
    let packed = PlanWeights::new(&config, &random_parameters(&config, 3).unwrap()).unwrap();
    let with = |options: PlanOptions| InferencePlan::new(&packed, &options).map(drop);
    assert!(matches!(
        with(PlanOptions::new([288, 224], 1)),
        Err(ModelError::NotSqueezable {
            height: 2,
            width: 1
        })
    ));
    assert!(with(PlanOptions::new([0, 224], 1)).is_err());
    assert!(with(PlanOptions::new([32, 32], 0)).is_err());
    let stride = PlanOptions {
        output_stride: Some(5),
        ..PlanOptions::new([32, 32], 1)
    };
    assert!(matches!(
        with(stride),
        Err(ModelError::OutputStride { found: 5 })
    ));
    let mut parameters = random_parameters(&config, 3).unwrap();
    parameters.remove("Conv2d_5_depthwise.weight");
    let error = PlanWeights::new(&config, &parameters).unwrap_err();
    assert!(
        error.to_string().contains("Conv2d_5_depthwise.weight"),
        "{error}"
    );
}
