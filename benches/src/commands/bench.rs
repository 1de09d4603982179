//! `bench`: measures the network's time. First it checks that the engines agree, then they take
//! turns run by run.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Module, Tensor};
use mobilenet::kernels::inference::WeightType;
use mobilenet::kernels::simd::{Isa, measure_peak};
use mobilenet::model::candle::var_builder;
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::inspect::summary;
use mobilenet::model::{InferencePlan, MobileNetV1, MobileNetV1Config, PlanOptions, PlanWeights};
use mobilenet_benches::{CandleBaseline, min_and_median, pixels, relative_difference, time_ms};
use mobilenet_cli::{Precision, json, line};
use serde::Serialize;

use xtask::{Bench, BenchEngine};

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

#[derive(Serialize)]
struct Line {
    engine: &'static str,
    width: f64,
    resolution: u64,
    batch: u64,
    threads: u64,
    precision: &'static str,
    weight_type: String,
    isa: String,
    min_ms: f64,
    median_ms: f64,
    runs_ms: Vec<f64>,
    load_ms: f64,
    /// Measured multiply-add peak of one core, in GFLOP/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_gflops: Option<f64>,
    /// The fastest run's share of the peak of all its threads, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    share_of_peak: Option<f64>,
}

/// An engine and its type of weights: one line of the result.
#[derive(Clone, Copy)]
struct Subject {
    engine: BenchEngine,
    weight_type: WeightType,
}

impl Subject {
    /// Every engine that the user asks for, the plan once for each type of weights.
    fn all(arguments: &Bench) -> Result<Vec<Self>> {
        let engines = match arguments.engine.as_slice() {
            [] => &[BenchEngine::Plan],
            engines => engines,
        };
        let wanted = arguments.weight_type.iter().copied();
        let types: Vec<WeightType> = wanted.map(WeightType::from).collect();
        if !types.is_empty() && !engines.contains(&BenchEngine::Plan) {
            bail!("--weight-type needs --engine plan");
        }
        let mut subjects = Vec::new();
        for &engine in engines {
            let of_engine = |weight_type| Self {
                engine,
                weight_type,
            };
            match engine {
                BenchEngine::Plan if !types.is_empty() => {
                    subjects.extend(types.iter().copied().map(of_engine));
                }
                _ => subjects.push(of_engine(WeightType::F32)),
            }
        }
        Ok(subjects)
    }

    fn engine_name(self) -> &'static str {
        match self.engine {
            BenchEngine::Plan => "plan",
            BenchEngine::Eager => "eager",
            BenchEngine::Candle => "candle",
        }
    }
}

/// A network that is ready to run.
enum Network {
    Plan(Box<InferencePlan>, Vec<f32>),
    Eager(Box<MobileNetV1>),
    Candle(CandleBaseline),
}

impl Network {
    /// Builds a network from parameters in memory. Also returns the milliseconds that this took.
    fn new(
        subject: Subject,
        config: &MobileNetV1Config,
        side: usize,
        threads: usize,
    ) -> Result<(Self, f64)> {
        let parameters = random_parameters(config, 0)?;
        let start = Instant::now();
        let vb = var_builder(parameters.clone())?;
        let network = match subject.engine {
            BenchEngine::Plan => {
                let weights = PlanWeights::of_type(subject.weight_type, config, &parameters)?;
                let options = PlanOptions::new([side, side], threads);
                Self::Plan(
                    Box::new(InferencePlan::new(&weights, &options)?),
                    Vec::new(),
                )
            }
            BenchEngine::Eager => Self::Eager(Box::new(MobileNetV1::new(config, vb)?)),
            BenchEngine::Candle => Self::Candle(CandleBaseline::new(config, vb)?),
        };
        Ok((network, start.elapsed().as_secs_f64() * 1e3))
    }

    fn run(&mut self, images: &Pixels) -> Result<Vec<f32>> {
        let Pixels {
            tensor: images,
            nhwc,
        } = images;
        let logits = match self {
            Self::Plan(plan, logits) => {
                let batch = nhwc.len() / plan.input_len();
                logits.resize(batch * plan.output_len(), 0.0);
                plan.run(nhwc, logits)?;
                return Ok(logits.clone());
            }
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
    rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads as usize)
        .build()
        .context("cannot start the threads")?
        .install(|| measure(arguments))
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

fn measure(arguments: &Bench) -> Result<()> {
    let Precision::F32 = arguments.precision;
    let config = MobileNetV1Config {
        num_classes: Some(1001),
        global_pool: true,
        ..MobileNetV1Config::with_width(arguments.width)
    };
    let side = arguments.resolution as usize;
    let threads = arguments.threads as usize;
    let images = Pixels::new(arguments.batch as usize, side)?;
    let subjects = Subject::all(arguments)?;
    let multiply_adds = summary(&config, side, side)?.multiply_adds;
    // Before anything is timed, every network is compared with candle's on the same weights and
    // image.
    for &subject in &subjects {
        agree(subject, &config, side, threads)?;
    }
    let mut networks = Vec::new();
    for subject in subjects {
        let (mut network, load_ms) = Network::new(subject, &config, side, threads)?;
        network.run(&images)?;
        networks.push((subject, network, load_ms, Vec::new()));
    }
    for _ in 0..arguments.repeat {
        for (_, network, _, runs_ms) in &mut networks {
            runs_ms.push(time_ms(|| network.run(&images))?);
        }
    }
    for (subject, _, load_ms, runs_ms) in networks {
        let (min_ms, median_ms) = min_and_median(&runs_ms);
        let peak_gflops = match subject.engine {
            BenchEngine::Plan => Some(measure_peak(Isa::best()?)),
            BenchEngine::Eager | BenchEngine::Candle => None,
        };
        let share_of_peak = peak_gflops.map(|peak| {
            let images = arguments.batch as f64;
            2.0 * images * multiply_adds as f64 / (min_ms * 1e6) / (peak * threads as f64)
        });
        let result = Line {
            peak_gflops,
            share_of_peak,
            engine: subject.engine_name(),
            width: arguments.width,
            resolution: arguments.resolution,
            batch: arguments.batch,
            threads: arguments.threads,
            precision: "f32",
            weight_type: subject.weight_type.to_string(),
            isa: match subject.engine {
                BenchEngine::Plan => Isa::best()?.to_string(),
                BenchEngine::Eager => "portable".to_string(),
                BenchEngine::Candle => "candle".to_string(),
            },
            min_ms,
            median_ms,
            runs_ms,
            load_ms,
        };
        if arguments.json {
            json(&result)?;
        } else {
            let peak = match (result.peak_gflops, result.share_of_peak) {
                (Some(peak), Some(share)) => {
                    format!(", {:.0} % of {peak:.0} GFLOP/s a core", 100.0 * share)
                }
                _ => String::new(),
            };
            line(format!(
                "{}: {}/{}, {}, batch {}, {} threads: min {:.2} ms, median {:.2} ms of {} runs{peak}",
                result.engine,
                result.width,
                result.resolution,
                result.weight_type,
                result.batch,
                result.threads,
                result.min_ms,
                result.median_ms,
                arguments.repeat,
            ))?;
        }
    }
    Ok(())
}

/// The same images as a tensor and as an array.
struct Pixels {
    tensor: Tensor,
    nhwc: Vec<f32>,
}

impl Pixels {
    /// Synthetic images in [-1, 1), always the same.
    fn new(batch: usize, side: usize) -> Result<Self> {
        let nhwc = pixels(batch * side * side * 3);
        let tensor = Tensor::from_slice(&nhwc, (batch, side, side, 3), &Device::Cpu)?;
        let tensor = tensor.permute((0, 3, 1, 2))?;
        Ok(Self { tensor, nhwc })
    }
}

/// Checks that the logits of one image differ from candle's by at most the tolerance.
fn agree(subject: Subject, config: &MobileNetV1Config, side: usize, threads: usize) -> Result<()> {
    let image = Pixels::new(1, side)?;
    let logits = |subject| Network::new(subject, config, side, threads)?.0.run(&image);
    let candle = Subject {
        engine: BenchEngine::Candle,
        weight_type: WeightType::F32,
    };
    let (ours, theirs) = (logits(subject)?, logits(candle)?);
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
