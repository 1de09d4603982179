//! Each kernel on each layer shape of MobileNetV1, and the whole network. Shapes come from the
//! layer table. `cargo bench -p mobilenet-benches -- FILTER`.

use std::collections::HashSet;
use std::hint::black_box;

use candle_core::{Device, Module, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mobilenet::kernels::conv::conv;
use mobilenet::kernels::depthwise::depthwise;
use mobilenet::kernels::pointwise::pointwise;
use mobilenet::model::architecture::body_layers;
use mobilenet::model::initialize::{random_parameters, var_builder};
use mobilenet::model::{LayerKind, MobileNetV1, MobileNetV1Config};
use mobilenet_benches::CandleBaseline;

/// Layers of 1.0/224, each distinct shape once.
fn layers(criterion: &mut Criterion) {
    let config = MobileNetV1Config::mobilenet_v1();
    let (mut height, mut width) = (224, 224);
    let mut seen = HashSet::new();
    let mut group = criterion.benchmark_group("layer");
    for layer in body_layers(&config.base).expect("the default network is valid") {
        let size = layer.size(1, height, width).expect("224 pixels fit");
        let new = seen.insert((
            height,
            layer.geometry,
            layer.in_channels,
            layer.out_channels,
        ));
        (height, width) = (size.rows.output, size.columns.output);
        if !new {
            continue;
        }
        let (i, o) = (layer.in_channels, layer.out_channels);
        let input = vec![0.5; size.input_len(i).expect("it fits")];
        let weights: Vec<f32> = vec![0.1; layer.weight_shape().iter().product()];
        let mut output = vec![0.0; size.output_len(o).expect("it fits")];
        group.throughput(Throughput::Elements(
            (height * width * weights.len()) as u64,
        ));
        group.bench_function(layer.endpoint.to_string(), |bencher| {
            bencher.iter(|| {
                match layer.endpoint.kind {
                    LayerKind::Conv => conv(&input, &weights, &size, i, o, &mut output),
                    LayerKind::Depthwise => depthwise(&input, &weights, &size, i, 1, &mut output),
                    LayerKind::Pointwise => {
                        pointwise(&input, &weights, None, height * width, i, o, &mut output)
                    }
                }
                .expect("the shapes fit");
                black_box(&mut output);
            });
        });
    }
}

fn networks(criterion: &mut Criterion) {
    let config = MobileNetV1Config::mobilenet_v1();
    let parameters = random_parameters(&config, 0).expect("the default network is valid");
    let ours = MobileNetV1::new(&config, var_builder(parameters.clone())).expect("all there");
    let candle = CandleBaseline::new(&config, var_builder(parameters)).expect("all there");
    let image = Tensor::rand(-1f32, 1.0, (1, 3, 224, 224), &Device::Cpu).expect("it fits");
    let mut group = criterion.benchmark_group("network");
    group.sample_size(10);
    group.bench_function("eager", |bencher| {
        bencher.iter(|| ours.forward_t(&image, false).expect("it runs"));
    });
    group.bench_function("candle", |bencher| {
        bencher.iter(|| candle.forward(&image).expect("it runs"));
    });
}

criterion_group!(benches, layers, networks);
criterion_main!(benches);
