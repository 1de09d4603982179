//! Times the loss and all gradients of a batch, with our eager network and with candle's own
//! layers. Both normalise by running statistics, because the baseline supports nothing else.

use std::collections::HashMap;

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::VarBuilder;
use criterion::{Criterion, criterion_group, criterion_main};
use mobilenet::model::initialize::{Parameters, random_parameters};
use mobilenet::model::{MobileNetV1, MobileNetV1Config};
use mobilenet_benches::CandleBaseline;

const BATCH: usize = 8;
const SIDE: usize = 128;
const CLASSES: usize = 10;

/// Parameters as variables, for which candle computes gradients.
fn trainable(parameters: &Parameters) -> Result<VarBuilder<'static>> {
    let variables = parameters.iter().map(|(name, tensor)| {
        let variable = Var::from_tensor(&Tensor::try_from(tensor)?)?;
        Ok((name.clone(), variable.as_tensor().clone()))
    });
    let variables = variables.collect::<Result<HashMap<_, _>>>()?;
    Ok(VarBuilder::from_tensors(
        variables,
        DType::F32,
        &Device::Cpu,
    ))
}

fn gradients(logits: &Tensor, labels: &Tensor) -> Result<()> {
    candle_nn::loss::cross_entropy(logits, labels)?.backward()?;
    Ok(())
}

fn bench(criterion: &mut Criterion) {
    let mut config = MobileNetV1Config::mobilenet_v1_025();
    config.num_classes = Some(CLASSES);
    let parameters = random_parameters(&config, 0).expect("the network is valid");
    let variables = || trainable(&parameters).expect("parameters are tensors");
    let eager = MobileNetV1::new(&config, variables()).expect("all there");
    let candle = CandleBaseline::new(&config, variables()).expect("all there");
    let images = Tensor::rand(-1f32, 1.0, (BATCH, 3, SIDE, SIDE), &Device::Cpu).expect("it fits");
    let labels = Tensor::from_vec((0..BATCH as u32).collect(), BATCH, &Device::Cpu);
    let labels = labels.expect("a label an image");
    let mut group = criterion.benchmark_group("gradients");
    group.sample_size(10);
    group.bench_function("eager", |bencher| {
        bencher.iter(|| {
            let logits = eager.forward_t(&images, false).expect("it runs");
            gradients(&logits, &labels).expect("it runs");
        });
    });
    group.bench_function("candle", |bencher| {
        bencher.iter(|| {
            let logits = candle.forward(&images).expect("it runs");
            gradients(&logits, &labels).expect("it runs");
        });
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
