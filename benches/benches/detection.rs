//! Measures detection: post-processing of SSD 300's 1,917 boxes, and its whole network in f32 on one
//! thread, with random weights.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use mobilenet::detect::floats::{FloatDetectorPlan, FloatWeights};
use mobilenet::detect::{PostProcess, SsdConfig, Suppression};
use mobilenet_benches::{pixels, random_ssd};

const CLASSES: usize = 90;

fn bench(criterion: &mut Criterion) {
    let config = SsdConfig::new(1.0, CLASSES);
    let anchors = config.anchors().expect("the settings are valid");
    let encodings = pixels(4 * anchors.len());
    // All classes of all boxes are above the threshold, or few are, as in a photo.
    let all = pixels(config.columns() * anchors.len());
    let all: Vec<f32> = all.into_iter().map(f32::abs).collect();
    let few: Vec<f32> = all.iter().map(|value| value.powi(200)).collect();
    let fast = PostProcess::new(CLASSES);
    let regular = PostProcess {
        suppression: Suppression::Regular { per_class: 100 },
        score: 0.3,
        ..fast.clone()
    };
    let mut group =
        criterion.benchmark_group(format!("post-processing of {} boxes", anchors.len()));
    let every = PostProcess {
        score: fast.score,
        ..regular.clone()
    };
    let hundred = PostProcess {
        most: 100,
        ..every.clone()
    };
    for (name, rule, scores) in [
        ("best class", fast, &few),
        ("regular", regular, &few),
        ("regular, all above the threshold", every, &all),
        ("regular, 100 of them", hundred, &all),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| rule.run(black_box(&encodings), black_box(scores), &anchors));
        });
    }
    group.finish();

    let network = random_ssd(&config).expect("the settings are valid");
    let weights = FloatWeights::new(&network).expect("the layers go together");
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
