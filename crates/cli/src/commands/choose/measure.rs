//! Time, memory and file size of a network on this machine, with random weights.

use std::time::Instant;

use anyhow::Result;
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::inspect::{Summary, summary};
use mobilenet::model::quantized::{
    Arithmetic, IntegerImages, IntegerOutput, IntegerPlan, IntegerPlanOptions, QuantizedWeights,
    RandomWeights, random_integers,
};
use mobilenet::model::{InferencePlan, MobileNetV1Config, PlanOptions, PlanWeights};

use super::super::bench::pixels;
use crate::args::Precision;

/// Lanes to which kernels fill the output channels of a layer.
const LANES: usize = 16;
/// Bytes of a safetensors file's header for each layer, about.
const HEADER: u64 = 510;

/// A network that is ready to run.
pub(super) struct Network {
    run: Box<dyn FnMut() -> Result<()>>,
    /// Bytes of weights and maps.
    pub(super) memory: usize,
}

fn config(width: f64) -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(1001),
        global_pool: true,
        ..MobileNetV1Config::with_width(width)
    }
}

/// Builds a network.
pub(super) fn network(
    precision: Precision,
    width: f64,
    size: [usize; 2],
    threads: usize,
) -> Result<Network> {
    let config = config(width);
    Ok(match precision {
        Precision::F32 => {
            let weights = PlanWeights::new(&config, &random_parameters(&config, 0)?)?;
            let mut plan = InferencePlan::new(&weights, &PlanOptions::new(size, threads))?;
            let memory = weights.bytes() + plan.arena_bytes();
            let image = pixels(plan.input_len());
            let mut logits = vec![0.0; plan.output_len()];
            let run = Box::new(move || Ok(plan.run(&image, &mut logits)?));
            Network { run, memory }
        }
        Precision::Int8 => {
            let integers = random_integers(&config, size, RandomWeights::Normal, 0)?;
            let weights = QuantizedWeights::new(integers, Arithmetic::Xnnpack)?;
            let mut plan = IntegerPlan::new(&weights, &IntegerPlanOptions::new(&weights, threads))?;
            let memory = weights.bytes() + plan.arena_bytes();
            let image = pixels(plan.input_len());
            let image: Vec<i8> = image.iter().map(|x| (x * 127.0) as i8).collect();
            let mut logits = vec![0i8; plan.output_len()];
            let run = Box::new(move || {
                let output = IntegerOutput::I8(&mut logits);
                Ok(plan.run(&IntegerImages::I8(&image), output)?)
            });
            Network { run, memory }
        }
    })
}

impl Network {
    /// The fastest of some runs, in milliseconds. The first run is not counted.
    pub(super) fn fastest(&mut self, runs: u64) -> Result<f64> {
        (self.run)()?;
        let mut fastest = f64::INFINITY;
        for _ in 0..runs {
            let start = Instant::now();
            (self.run)()?;
            fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(fastest)
    }
}

/// What the layer table says of a network.
pub(super) struct Facts {
    /// Multiplications, with channels filled up as kernels do it.
    pub(super) work: f64,
    /// Bytes of a file of weights, about.
    pub(super) file: u64,
}

pub(super) fn facts(precision: Precision, width: f64, size: [usize; 2]) -> Result<Facts> {
    let summary = summary(&config(width), size[0], size[1])?;
    Ok(Facts {
        work: work(&summary),
        file: file(precision, &summary),
    })
}

fn work(summary: &Summary) -> f64 {
    let layers = summary.layers.iter().map(|layer| {
        let channels = layer.output[2];
        let filled = channels.next_multiple_of(LANES);
        layer.multiply_adds as f64 * filled as f64 / channels.max(1) as f64
    });
    layers.sum()
}

fn file(precision: Precision, summary: &Summary) -> u64 {
    let layers = summary.layers.iter().map(|layer| {
        let (values, channels) = (layer.parameters as u64, layer.output[2] as u64);
        match precision {
            Precision::F32 => 4 * values + HEADER,
            // A weight is a byte. A channel has a bias, two scales and a zero point, in place of the
            // four values of batch normalisation, or of a classifier's bias.
            Precision::Int8 => {
                let others = if layer.kind == "logits" { 1 } else { 4 };
                values.saturating_sub(others * channels) + 16 * channels + HEADER
            }
        }
    });
    layers.sum()
}
