//! Measures the cost of lending plans from a pool. Many threads call one classifier at once, and
//! for comparison each thread has its own plan.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::model::{InferencePlan, PlanOptions, PlanWeights};
use mobilenet::{Classifier, Engine};
use mobilenet_benches::pixels;

const SIDE: usize = 224;
/// Number of callers, and images per caller.
const CALLERS: usize = 8;
const IMAGES: usize = 4;

fn bench(criterion: &mut Criterion) {
    let metadata = Metadata::new(Preprocessing::plain(SIDE));
    let config = metadata.config();
    let parameters = random_parameters(&config, 0).expect("the network is valid");
    let weights = PlanWeights::new(&config, &parameters).expect("all there");
    let checkpoint = Checkpoint {
        parameters,
        metadata,
        report: LoadReport::default(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let engine = Engine::Plan {
        threads: Some(threads),
        weights: WeightType::F32,
    };
    let classifier = Classifier::from_checkpoint(checkpoint, engine).expect("it loads");
    let image = pixels(SIDE * SIDE * 3);
    let mut group = criterion.benchmark_group(format!("{} images", CALLERS * IMAGES));
    group.sample_size(10);
    group.bench_function("one caller", |bencher| {
        bencher.iter(|| {
            for _ in 0..CALLERS * IMAGES {
                black_box(classifier.classify_pixels(&image, 5).expect("it runs"));
            }
        });
    });
    group.bench_function("eight callers", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                for _ in 0..CALLERS {
                    scope.spawn(|| {
                        for _ in 0..IMAGES {
                            black_box(classifier.classify_pixels(&image, 5).expect("it runs"));
                        }
                    });
                }
            });
        });
    });
    let plan = |_| InferencePlan::new(&weights, &PlanOptions::new([SIDE; 2], 1)).expect("it fits");
    let mut plans: Vec<InferencePlan> = (0..threads).map(plan).collect();
    group.bench_function("a plan a core", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                for plan in &mut plans {
                    scope.spawn(|| {
                        let mut logits = vec![0.0; plan.output_len()];
                        for _ in 0..CALLERS * IMAGES / threads {
                            plan.run(&image, &mut logits).expect("it runs");
                        }
                        black_box(logits);
                    });
                }
            });
        });
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
