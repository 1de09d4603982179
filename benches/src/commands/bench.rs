//! `bench` with engines on candle: checks that all engines agree, then measures them in turn.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Module, Tensor};
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::candle::var_builder;
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::{InferencePlan, MobileNetV1, PlanOptions, PlanWeights};
use mobilenet_benches::{CandleBaseline, pixels, relative_difference};
use mobilenet_cli::bench::{Measured, Subject, config, measure, plan};
use mobilenet_cli::{Bench, BenchEngine, Precision, Size};

/// Candle's two thread pools read their sizes from these variables once, when a process starts to
/// compute. So this process sets them and measures in a child process.
const THREAD_VARIABLES: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Largest allowed difference of logits, relative to the largest logit. Half-precision weights are
/// allowed the error of rounding them.
fn tolerance(weight_type: WeightType) -> f32 {
    match weight_type {
        WeightType::F32 => 1e-4,
        WeightType::F16 => 5e-3,
        WeightType::Bf16 => 5e-2,
    }
}

pub(crate) fn run(arguments: &Bench) -> Result<()> {
    let wanted = arguments.threads.to_string();
    let set = |name: &&str| std::env::var(name).is_ok_and(|value| value == wanted);
    if !THREAD_VARIABLES.iter().all(set) {
        return run_in_child(&wanted);
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads as usize)
        .build()
        .context("cannot start the threads")?
        .install(|| {
            // Before anything is timed, every network is compared with candle's on the same weights
            // and image. Candle has no integers; tests compare them with LiteRT's.
            for subject in Subject::all(arguments)? {
                if arguments.precision == Precision::F32 {
                    agree(subject, arguments)?;
                }
            }
            measure(arguments, |subject| match subject.engine {
                BenchEngine::Plan => plan(arguments, subject.weight_type),
                BenchEngine::Eager | BenchEngine::Candle => on_candle(subject.engine, arguments),
            })
        })
}

/// Runs this command again in a child process that has the thread variables set.
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

fn on_candle(engine: BenchEngine, arguments: &Bench) -> Result<Measured> {
    let images = images(arguments.batch as usize, arguments.resolution)?;
    let start = Instant::now();
    let network = network(engine, arguments)?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let run = Box::new(move || {
        // Reading the values ends what candle may still compute.
        network(&images)?.flatten_all()?.to_vec1::<f32>()?;
        Ok(())
    });
    Ok(Measured { run, load_ms })
}

type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

fn network(engine: BenchEngine, arguments: &Bench) -> Result<Forward> {
    let config = config(arguments);
    let vb = var_builder(random_parameters(&config, 0)?)?;
    if engine == BenchEngine::Eager {
        let network = MobileNetV1::new(&config, vb)?;
        return Ok(Box::new(
            move |images| Ok(network.forward_t(images, false)?),
        ));
    }
    let network = CandleBaseline::new(&config, vb)?;
    Ok(Box::new(move |images| Ok(network.forward(images)?)))
}

fn images(batch: usize, Size([rows, columns]): Size) -> Result<Tensor> {
    let pixels = pixels(batch * rows * columns * 3);
    let tensor = Tensor::from_slice(&pixels, (batch, rows, columns, 3), &Device::Cpu)?;
    Ok(tensor.permute((0, 3, 1, 2))?)
}

/// Logits of one image.
fn logits(subject: Subject, arguments: &Bench) -> Result<Vec<f32>> {
    if subject.engine != BenchEngine::Plan {
        let image = images(1, arguments.resolution)?;
        let logits = network(subject.engine, arguments)?(&image)?;
        return Ok(logits.flatten_all()?.to_vec1()?);
    }
    let config = config(arguments);
    let Size(size) = arguments.resolution;
    let parameters = random_parameters(&config, 0)?;
    let weights = PlanWeights::of_type(subject.weight_type, &config, &parameters)?;
    let options = PlanOptions::new(size, arguments.threads as usize);
    let mut plan = InferencePlan::new(&weights, &options)?;
    let mut logits = vec![0.0; plan.output_len()];
    plan.run(&pixels(plan.input_len()), &mut logits)?;
    Ok(logits)
}

/// Checks that the logits of one image differ from candle's by at most the tolerance.
fn agree(subject: Subject, arguments: &Bench) -> Result<()> {
    let candle = Subject {
        engine: BenchEngine::Candle,
        weight_type: WeightType::F32,
    };
    let (ours, theirs) = (logits(subject, arguments)?, logits(candle, arguments)?);
    let error = relative_difference(&ours, &theirs);
    let engine = subject.engine;
    if error > tolerance(subject.weight_type) {
        bail!(
            "{engine:?} and candle disagree by {error:e}, relative to the largest logit: \
             nothing was timed"
        );
    }
    eprintln!("{engine:?} and candle agree to {error:.1e}");
    Ok(())
}
