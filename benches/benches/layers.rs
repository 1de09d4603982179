//! Times each layer shape of MobileNetV1 1.0/224 alone in the inference plan's kernels, with warm
//! caches, on one thread. Also times whole networks. Prints the measured multiply-add peak for
//! comparison. Shapes come from the layer table. `cargo bench -p mobilenet-benches -- FILTER` runs
//! a part.

use std::collections::HashSet;

use candle_core::{Device, Module, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mobilenet::kernels::inference::{ImageLayout, Images};
use mobilenet::kernels::simd::{Isa, measure_peak};
use mobilenet::model::candle::var_builder;
use mobilenet::model::fold::folded_layers;
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::model::{InferencePlan, MobileNetV1, MobileNetV1Config, PlanOptions, PlanWeights};
use mobilenet_benches::{CandleBaseline, step_program};

fn layers(criterion: &mut Criterion) {
    let isa = Isa::best().expect("MOBILENET_ISA is valid");
    println!(
        "multiply-add peak of {isa}: {:.1} G a second",
        measure_peak(isa) / 2.0
    );
    let config = MobileNetV1Config::mobilenet_v1();
    let parameters = random_parameters(&config, 0).expect("the network is valid");
    let layers = folded_layers(&config, &parameters).expect("all parameters are there");
    let mut group = criterion.benchmark_group(format!("layer_{isa}"));
    let mut seen = HashSet::new();
    let mut side = 224;
    for folded in &layers {
        let layer = &folded.layer;
        let size = layer.size(1, side, side).expect("224 pixels fit");
        let input = side;
        side = size.rows.output;
        if !seen.insert((input, layer.geometry, layer.in_channels, layer.out_channels)) {
            continue;
        }
        let program = step_program(isa, std::slice::from_ref(folded), input);
        let mut program = program.expect("the shapes fit");
        let image = vec![0.5; program.input_len()];
        let mut features = vec![0.0; program.output_len()];
        // An element is a multiply-add. The time includes the program's copy of its input.
        group.throughput(Throughput::Elements(
            (side * side * folded.weights.len()) as u64,
        ));
        group.bench_function(layer.endpoint.to_string(), |bencher| {
            bencher.iter(|| {
                let images = Images::F32(&image, ImageLayout::Nhwc);
                program
                    .run(&images, &mut features)
                    .expect("the lengths fit");
            });
        });
    }
}

fn networks(criterion: &mut Criterion) {
    let config = MobileNetV1Config::mobilenet_v1();
    let parameters = random_parameters(&config, 0).expect("the network is valid");
    let weights = PlanWeights::new(&config, &parameters).expect("all parameters are there");
    let mut options = PlanOptions::new([224, 224], 1);
    let mut plan = InferencePlan::new(&weights, &options).expect("224 pixels fit");
    options = options.with_frames(&Preprocessing::slim(224));
    let mut plan_of_frames = InferencePlan::new(&weights, &options).expect("224 pixels fit");
    let eager = MobileNetV1::new(&config, var_builder(parameters.clone()).expect("arrays"))
        .expect("all there");
    let candle =
        CandleBaseline::new(&config, var_builder(parameters).expect("arrays")).expect("all there");
    let image = Tensor::rand(-1f32, 1.0, (1, 3, 224, 224), &Device::Cpu).expect("it fits");
    let pixels = vec![0.5; plan.input_len()];
    let mut logits = vec![0.0; plan.output_len()];
    let mut group = criterion.benchmark_group("network");
    group.sample_size(10);
    group.bench_function("plan", |bencher| {
        bencher.iter(|| plan.run(&pixels, &mut logits).expect("the lengths fit"));
    });
    // This plan takes the bytes of a camera. The f32 plan needs them converted, and the conversion
    // is not timed.
    let frame = vec![128u8; plan_of_frames.input_len()];
    group.bench_function("plan, 8-bit frame", |bencher| {
        let plan = &mut plan_of_frames;
        bencher.iter(|| plan.run_u8(&frame, &mut logits).expect("the lengths fit"));
    });
    group.bench_function("eager", |bencher| {
        bencher.iter(|| eager.forward_t(&image, false).expect("it runs"));
    });
    group.bench_function("candle", |bencher| {
        bencher.iter(|| candle.forward(&image).expect("it runs"));
    });
}

criterion_group!(benches, layers, networks);
criterion_main!(benches);
