//! `bench`: how long the network takes, engines in turn run by run, after they agree.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Module, Tensor};
use mobilenet::model::initialize::{random_parameters, var_builder};
use mobilenet::model::{MobileNetV1, MobileNetV1Config};
use mobilenet_benches::CandleBaseline;
use serde::Serialize;

use crate::cli::{Bench, BenchEngine, Precision};
use crate::{output, threads};

/// Both pools of candle read their size once, from here; a process sets it for its child.
const THREAD_VARIABLES: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Engines must agree to this, relative to the largest logit, before anything is timed.
const TOLERANCE: f32 = 1e-4;

#[derive(Serialize)]
struct Line {
    engine: &'static str,
    width: f64,
    resolution: u64,
    batch: u64,
    threads: u64,
    precision: &'static str,
    isa: &'static str,
    min_ms: f64,
    median_ms: f64,
    runs_ms: Vec<f64>,
    load_ms: f64,
}

/// A network ready to run.
enum Network {
    Eager(Box<MobileNetV1>),
    Candle(CandleBaseline),
}

impl Network {
    fn new(engine: BenchEngine, config: &MobileNetV1Config) -> Result<Self> {
        let vb = var_builder(random_parameters(config, 0)?);
        Ok(match engine {
            BenchEngine::Eager => Self::Eager(Box::new(MobileNetV1::new(config, vb)?)),
            BenchEngine::Candle => Self::Candle(CandleBaseline::new(config, vb)?),
        })
    }

    fn run(&self, images: &Tensor) -> Result<Vec<f32>> {
        let logits = match self {
            Self::Eager(network) => network.forward_t(images, false)?,
            Self::Candle(network) => network.forward(images)?,
        };
        Ok(logits.flatten_all()?.to_vec1::<f32>()?)
    }
}

pub(crate) fn run(arguments: &Bench) -> Result<()> {
    let wanted = arguments.threads.to_string();
    let set = |name: &&str| std::env::var(name).is_ok_and(|value| value == wanted);
    if !THREAD_VARIABLES.iter().all(set) {
        return run_in_child(&wanted);
    }
    threads::install(Some(arguments.threads), || measure(arguments))
}

/// Starts this very command again with the thread variables set.
fn run_in_child(threads: &str) -> Result<()> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1));
    for name in THREAD_VARIABLES {
        command.env(name, threads);
    }
    let status = command
        .status()
        .context("cannot start the measuring process")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => std::process::exit(code),
        None => bail!("the measuring process was killed: {status}"),
    }
}

fn measure(arguments: &Bench) -> Result<()> {
    let Precision::F32 = arguments.precision;
    let config = MobileNetV1Config {
        num_classes: Some(1001),
        global_pool: true,
        ..MobileNetV1Config::with_width(arguments.width)
    };
    let side = arguments.resolution as usize;
    let images = images(arguments.batch as usize, side)?;
    let engines = match arguments.engine.as_slice() {
        [] => vec![BenchEngine::Eager],
        engines => engines.to_vec(),
    };
    // Whatever is timed is first compared with the other engine, on the same weights and image.
    agree(&config, &images)?;
    let mut networks = Vec::new();
    for engine in engines {
        let start = Instant::now();
        let network = Network::new(engine, &config)?;
        let load_ms = start.elapsed().as_secs_f64() * 1e3;
        network.run(&images)?;
        networks.push((engine, network, load_ms, Vec::new()));
    }
    for _ in 0..arguments.repeat {
        for (_, network, _, runs_ms) in &mut networks {
            let start = Instant::now();
            network.run(&images)?;
            runs_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    for (engine, _, load_ms, runs_ms) in networks {
        let mut sorted: Vec<f64> = runs_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let line = Line {
            engine: match engine {
                BenchEngine::Eager => "eager",
                BenchEngine::Candle => "candle",
            },
            width: arguments.width,
            resolution: arguments.resolution,
            batch: arguments.batch,
            threads: arguments.threads,
            precision: "f32",
            isa: match engine {
                BenchEngine::Eager => "portable",
                BenchEngine::Candle => "candle",
            },
            min_ms: sorted[0],
            median_ms: sorted[sorted.len() / 2],
            runs_ms,
            load_ms,
        };
        if arguments.json {
            output::json(&line)?;
        } else {
            output::line(format!(
                "{}: {}/{}, batch {}, {} threads: min {:.2} ms, median {:.2} ms of {} runs",
                line.engine,
                line.width,
                line.resolution,
                line.batch,
                line.threads,
                line.min_ms,
                line.median_ms,
                arguments.repeat,
            ))?;
        }
    }
    Ok(())
}

/// Reproducible images in [-1, 1].
fn images(batch: usize, side: usize) -> Result<Tensor> {
    let values: Vec<f32> = (0..batch * 3 * side * side)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
        .collect();
    Ok(Tensor::from_vec(
        values,
        (batch, 3, side, side),
        &Device::Cpu,
    )?)
}

/// An honest check: the largest difference of all logits of one image.
fn agree(config: &MobileNetV1Config, images: &Tensor) -> Result<()> {
    let image = images.narrow(0, 0, 1)?;
    let ours = Network::new(BenchEngine::Eager, config)?.run(&image)?;
    let theirs = Network::new(BenchEngine::Candle, config)?.run(&image)?;
    let largest = theirs.iter().fold(0f32, |max, x| max.max(x.abs()));
    let difference = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, |max, x| {
            if x.is_nan() {
                f32::INFINITY
            } else {
                max.max(x)
            }
        });
    let error = difference / largest;
    if error.is_nan() || error > TOLERANCE || ours.len() != theirs.len() {
        bail!(
            "the engines disagree by {error:e}, relative to the largest logit: nothing was timed"
        );
    }
    eprintln!("engines agree to {error:.1e}");
    Ok(())
}
