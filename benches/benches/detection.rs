//! Measures detection: post-processing of SSD 300's 1,917 boxes, and its whole network in f32 on one
//! thread, with random weights.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use mobilenet::detect::floats::{
    FloatDetectorPlan, FloatLayer, FloatNetwork, FloatPredictor, FloatWeights,
};
use mobilenet::detect::{PostProcess, SsdConfig, Suppression};
use mobilenet::kernels::ConvKind;
use mobilenet::kernels::inference::LayerShape;
use mobilenet_benches::pixels;

const CLASSES: usize = 90;

fn layer(name: &str, shape: LayerShape) -> FloatLayer {
    let inputs = match shape.kind {
        ConvKind::Conv => shape.in_channels,
        ConvKind::Depthwise => 1,
    };
    let depth = inputs * shape.geometry.kernel.iter().product::<usize>();
    let scale = (6.0 / depth as f32).sqrt();
    let weights = pixels(depth * shape.out_channels);
    FloatLayer {
        name: name.to_string(),
        weights: weights.into_iter().map(|value| scale * value).collect(),
        bias: vec![0.1; shape.out_channels],
        shape,
    }
}

fn network(config: &SsdConfig) -> FloatNetwork {
    let ssd = config.network().expect("the settings are valid");
    let layers = ssd.layers.iter().map(|one| layer(&one.name, one.shape));
    let predictors = ssd.predictors.iter().map(|one| FloatPredictor {
        reads: one.reads,
        boxes: layer("boxes", one.boxes),
        scores: layer("scores", one.classes),
    });
    FloatNetwork {
        size: config.size,
        layers: layers.collect(),
        predictors: predictors.collect(),
    }
}

fn bench(criterion: &mut Criterion) {
    let config = SsdConfig::new(1.0, CLASSES);
    let anchors = config.anchors().expect("the settings are valid");
    let encodings = pixels(4 * anchors.len());
    // Few scores are high, as in a photo.
    let scores: Vec<f32> = pixels(config.columns() * anchors.len())
        .into_iter()
        .map(|value| value.abs().powi(200))
        .collect();
    let fast = PostProcess::new(CLASSES);
    let regular = PostProcess {
        suppression: Suppression::Regular { per_class: 100 },
        score: 0.3,
        ..fast.clone()
    };
    let mut group =
        criterion.benchmark_group(format!("post-processing of {} boxes", anchors.len()));
    for (name, rule) in [("best class", fast), ("regular", regular)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| rule.run(black_box(&encodings), black_box(&scores), &anchors));
        });
    }
    group.finish();

    let weights = FloatWeights::new(&network(&config)).expect("the layers go together");
    let mut plan =
        FloatDetectorPlan::new(Arc::new(weights), anchors.len(), 1).expect("it has these boxes");
    let image = pixels(300 * 300 * 3);
    let mut group = criterion.benchmark_group("SSD 300, one thread");
    group.sample_size(10);
    group.bench_function("f32", |bencher| {
        bencher.iter(|| plan.run(black_box(&image)))
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
