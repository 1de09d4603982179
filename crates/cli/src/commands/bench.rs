//! `bench`: measures the time of networks with random weights, run by run in turn.
//!
//! This program measures the plan. `cargo xtask bench` calls [`measure`] with engines on candle,
//! too, after it has checked that they agree.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mobilenet::kernels::inference::WeightType;
use mobilenet::kernels::simd::{IntegerIsa, Isa, measure_peak};
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::inspect::summary;
use mobilenet::model::quantized::{
    Arithmetic, IntegerImages, IntegerOutput, IntegerPlan, IntegerPlanOptions, QuantizedWeights,
    RandomWeights, random_integers,
};
use mobilenet::model::{InferencePlan, MobileNetV1Config, PlanOptions, PlanWeights};
use serde::Serialize;

use crate::args::{Bench, BenchEngine, Precision};
use crate::output;
use crate::values::Size;

#[derive(Serialize)]
struct Line {
    engine: &'static str,
    width: f64,
    resolution: Size,
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
pub struct Subject {
    /// The engine.
    pub engine: BenchEngine,
    /// Type of the plan's weights in memory.
    pub weight_type: WeightType,
}

impl Subject {
    /// Every engine that the user asks for, the plan once for each type of weights.
    ///
    /// # Errors
    /// If types of weights are asked for without the plan.
    pub fn all(arguments: &Bench) -> Result<Vec<Self>> {
        let engines = match arguments.engine.as_slice() {
            [] => &[BenchEngine::Plan],
            engines => engines,
        };
        let wanted = arguments.weight_type.iter().copied();
        let types: Vec<WeightType> = wanted.map(WeightType::from).collect();
        if !types.is_empty() && !engines.contains(&BenchEngine::Plan) {
            bail!("--weight-type needs --engine plan");
        }
        if arguments.precision == Precision::Int8
            && (!types.is_empty() || engines.iter().any(|&engine| engine != BenchEngine::Plan))
        {
            bail!("--precision int8 is for --engine plan, without --weight-type");
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
pub struct Measured {
    /// Runs one batch.
    pub run: Box<dyn FnMut() -> Result<()>>,
    /// Milliseconds from parameters in memory to a network that is ready.
    pub load_ms: f64,
}

/// The network that is measured.
pub fn config(arguments: &Bench) -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(1001),
        global_pool: true,
        ..MobileNetV1Config::with_width(arguments.width)
    }
}

/// Synthetic images: `count` pseudo-random values in [-1, 1), always the same.
pub fn pixels(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

pub(crate) fn run(arguments: &Bench) -> Result<()> {
    measure(arguments, |subject| match subject.engine {
        BenchEngine::Plan => plan(arguments, subject.weight_type),
        BenchEngine::Eager | BenchEngine::Candle => bail!(
            "this program measures the plan; `cargo xtask bench` in the repository measures \
             candle, too"
        ),
    })
}

/// The inference plan with random weights.
///
/// # Errors
/// If the plan cannot be built.
pub fn plan(arguments: &Bench, weight_type: WeightType) -> Result<Measured> {
    if arguments.precision == Precision::Int8 {
        return integers(arguments);
    }
    let config = config(arguments);
    let Size([rows, columns]) = arguments.resolution;
    let parameters = random_parameters(&config, 0)?;
    let start = Instant::now();
    let weights = PlanWeights::of_type(weight_type, &config, &parameters)?;
    let options = PlanOptions::new([rows, columns], arguments.threads as usize);
    let mut plan = InferencePlan::new(&weights, &options)?;
    let load_ms = milliseconds(start);
    let batch = arguments.batch as usize;
    let images = pixels(batch * plan.input_len());
    let mut logits = vec![0.0; batch * plan.output_len()];
    let run = Box::new(move || Ok(plan.run(&images, &mut logits)?));
    Ok(Measured { run, load_ms })
}

/// A plan of integers with random weights: signed, with a scale for each channel.
fn integers(arguments: &Bench) -> Result<Measured> {
    let Size(size) = arguments.resolution;
    let network = random_integers(&config(arguments), size, RandomWeights::Normal, 0)?;
    let start = Instant::now();
    let weights = QuantizedWeights::new(network, Arithmetic::Xnnpack)?;
    let options = IntegerPlanOptions::new(&weights, arguments.threads as usize);
    let mut plan = IntegerPlan::new(&weights, &options)?;
    let load_ms = milliseconds(start);
    let batch = arguments.batch as usize;
    let images = pixels(batch * plan.input_len());
    let images: Vec<i8> = images.iter().map(|x| (x * 127.0) as i8).collect();
    let mut logits = vec![0i8; batch * plan.output_len()];
    let run = Box::new(move || {
        let output = IntegerOutput::I8(&mut logits);
        Ok(plan.run(&IntegerImages::I8(&images), output)?)
    });
    Ok(Measured { run, load_ms })
}

/// Builds every network, runs them in turn and prints the times.
///
/// # Errors
/// If a network cannot be built or run.
pub fn measure(
    arguments: &Bench,
    mut build: impl FnMut(Subject) -> Result<Measured>,
) -> Result<()> {
    let Size([rows, columns]) = arguments.resolution;
    let multiply_adds = summary(&config(arguments), rows, columns)?.multiply_adds;
    let mut networks = Vec::new();
    for subject in Subject::all(arguments)? {
        let mut network = build(subject)?;
        (network.run)()?;
        networks.push((subject, network, Vec::new()));
    }
    for _ in 0..arguments.repeat {
        for (_, network, runs_ms) in &mut networks {
            std::thread::sleep(Duration::from_millis(arguments.pause));
            let start = Instant::now();
            (network.run)()?;
            runs_ms.push(milliseconds(start));
        }
    }
    for (subject, network, runs_ms) in networks {
        let (min_ms, median_ms) = min_and_median(&runs_ms);
        let peak_gflops = match subject.engine {
            BenchEngine::Plan if arguments.precision == Precision::F32 => {
                Some(measure_peak(Isa::best()?))
            }
            _ => None,
        };
        let share_of_peak = peak_gflops.map(|peak| {
            let operations = 2.0 * arguments.batch as f64 * multiply_adds as f64;
            operations / (min_ms * 1e6) / (peak * arguments.threads as f64)
        });
        print(
            arguments,
            &Line {
                engine: subject.engine_name(),
                width: arguments.width,
                resolution: arguments.resolution,
                batch: arguments.batch,
                threads: arguments.threads,
                precision: arguments.precision.name(),
                weight_type: match arguments.precision {
                    Precision::F32 => subject.weight_type.to_string(),
                    Precision::Int8 => "i8".to_string(),
                },
                isa: match subject.engine {
                    BenchEngine::Plan if arguments.precision == Precision::Int8 => {
                        IntegerIsa::best()?.to_string()
                    }
                    BenchEngine::Plan | BenchEngine::Eager => Isa::best()?.to_string(),
                    BenchEngine::Candle => "candle".to_string(),
                },
                min_ms,
                median_ms,
                runs_ms,
                load_ms: network.load_ms,
                peak_gflops,
                share_of_peak,
            },
        )?;
    }
    Ok(())
}

fn print(arguments: &Bench, result: &Line) -> Result<()> {
    if arguments.json {
        return output::json(result);
    }
    let peak = match (result.peak_gflops, result.share_of_peak) {
        (Some(peak), Some(share)) => {
            format!(", {:.0} % of {peak:.0} GFLOP/s a core", 100.0 * share)
        }
        _ => String::new(),
    };
    output::line(format!(
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
    ))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Minimum and median. Of an even number of times the median is the upper one. NaN without times.
pub fn min_and_median(times: &[f64]) -> (f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_upper_median() {
        assert_eq!(min_and_median(&[3.0, 1.0, 2.0]), (1.0, 2.0));
        assert_eq!(min_and_median(&[4.0, 1.0, 3.0, 2.0]), (1.0, 3.0));
        assert!(min_and_median(&[]).0.is_nan());
    }
}
