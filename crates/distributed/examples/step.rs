//! Times training steps by several processes, with and without the exchange of gradients:
//!     mpirun -n 2 step WIDTH SIDE IMAGES THREADS f32|bf16 STEPS
//! Each rank computes a shard of IMAGES random images. Prints a line of JSON: steps without exchange
//! and with it in turn, the slowest rank counts; and the exchange alone, of all values and of two.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mobilenet_distributed::Mpi;
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::{FlatLayout, MobileNetV1Config};
use mobilenet_train::optimizer::OptimizerConfig;
use mobilenet_train::parallel::{Communicator, Exchange, Wire, gather};
use mobilenet_train::recipe::Recipe;
use mobilenet_train::trainer::{State, Trainer};

const CLASSES: usize = 1001;

fn main() -> Result<()> {
    let mut mpi = Mpi::start(Duration::from_secs(60)).context("MPI runs already")?;
    let outcome = measure(&mut mpi);
    if let Err(error) = outcome {
        eprintln!("error: rank {}: {error:#}", mpi.rank());
        mpi.abort(1);
    }
    Ok(())
}

fn measure(communicator: &mut dyn Communicator) -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [width, side, images, threads, wire, steps] = &arguments[..] else {
        bail!("expected WIDTH SIDE IMAGES THREADS f32|bf16 STEPS");
    };
    let (width, side): (f64, usize) = (width.parse()?, side.parse()?);
    let (images, threads): (usize, usize) = (images.parse()?, threads.parse()?);
    let steps: usize = steps.parse()?;
    ensure!(steps > 0, "no steps");
    let wire = match wire.as_str() {
        "f32" => Wire::F32,
        "bf16" => Wire::Bf16,
        other => bail!("{other} is not f32 or bf16"),
    };
    let (rank, ranks) = (communicator.rank(), communicator.ranks());
    let config = MobileNetV1Config {
        num_classes: Some(CLASSES),
        ..MobileNetV1Config::with_width(width)
    };
    let recipe = Recipe {
        batch_size: images * ranks,
        shards: ranks,
        wire,
        resolution: side,
        optimizer: OptimizerConfig::rms_prop_slim(),
        dropout_keep_prob: 1.0,
        ..Recipe::slim(u64::MAX)
    };
    let layout = FlatLayout::new(&config)?;
    let weights = layout.flatten(&initial_parameters(&config, 0)?)?;
    let values = weights.len();
    let state = State::new(&recipe, &layout, weights)?;
    let mut trainer = Trainer::new(recipe, &config, state, None, threads)?;
    let value = |at: usize| ((at * 7 + rank) as f32 * 0.37).sin();
    let pixels: Vec<f32> = (0..images * side * side * 3).map(value).collect();
    let labels: Vec<u32> = (0..images).map(|at| (at * 37 % CLASSES) as u32).collect();

    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        let mut without = || {
            trainer.compute(&pixels, &labels, rank)?;
            let losses = vec![trainer.share_mut().losses[0]; ranks];
            trainer.apply(&losses).map(|_| ())
        };
        let time = slowest(communicator, |_| Ok(without()?))?;
        let with = |communicator: &mut dyn Communicator| {
            trainer.step_with(&pixels, &labels, communicator)?;
            Ok(())
        };
        let exchanged = slowest(communicator, with)?;
        // The first is for caches.
        if step > 0 {
            alone.push(time);
            together.push(exchanged);
        }
    }
    let mut exchanges = |length: usize, times: usize| -> Result<Vec<f64>> {
        let mut exchange = Exchange::new(wire, Vec::new());
        let mut vector = vec![1e-3; length];
        let mut one = || slowest(communicator, |ranks| Ok(exchange.sum(ranks, &mut vector)?));
        (0..times).map(|_| one()).collect()
    };
    let (exchange, latency) = (exchanges(values, 30)?, exchanges(2, 200)?);
    if rank == 0 {
        let record = serde_json::json!({
            "width": width, "side": side, "images": images, "threads": threads, "ranks": ranks,
            "wire": arguments[4], "values": values, "alone_ms": alone, "together_ms": together,
            "exchange_ms": exchange, "latency_ms": latency,
        });
        println!("{record}");
    }
    Ok(())
}

/// Milliseconds from the moment when all ranks are there, of the rank that takes longest.
fn slowest(
    communicator: &mut dyn Communicator,
    work: impl FnOnce(&mut dyn Communicator) -> Result<()>,
) -> Result<f64> {
    gather(communicator, Vec::new())?;
    let start = Instant::now();
    work(communicator)?;
    let own = start.elapsed().as_secs_f64() * 1e3;
    let all = gather(communicator, own.to_le_bytes().to_vec())?.concat();
    let all = all.as_chunks().0.iter();
    let slowest = all
        .map(|time| f64::from_le_bytes(*time))
        .fold(0.0, f64::max);
    Ok((slowest * 1e3).round() / 1e3)
}
