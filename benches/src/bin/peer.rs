//! One of our engines, or the candle baseline, as a process for `cargo xtask report`:
//! `peer plan|eager|candle FOLDER BATCH THREADS`. Our training step:
//! `peer train|quantize WIDTH RESOLUTION BATCH THREADS`. A network of integers:
//! `peer integers FOLDER THREADS`. A detector: `peer detector f32|uint8 FOLDER THREADS`. A process
//! that takes a core: `peer spin`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, Module, Tensor};
use mobilenet::detect::floats::{FloatDetectorPlan, FloatWeights};
use mobilenet::detect::{Computation, DetectorWeights, SsdConfig};
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::candle::var_builder;
use mobilenet::model::checkpoint::{ReadLimits, load, load_integers};
use mobilenet::model::quantized::{
    Arithmetic, IntegerImages, IntegerOutput, IntegerPlan, IntegerPlanOptions, IntegerPlanOutput,
    IntegerType, QuantizedWeights, ValueKind,
};
use mobilenet::model::{InferencePlan, PlanOptions, PlanWeights};
use mobilenet::train::quantization::Quantization;
use mobilenet_benches::{AnyError, CandleBaseline, random_ssd, serve, training_step};
use safetensors::SafeTensors;

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let threads = arguments.last().and_then(|threads| threads.parse().ok());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(1))
        .build()?;
    pool.install(|| match *arguments.as_slice() {
        [
            kind @ ("train" | "quantize"),
            width,
            resolution,
            batch,
            threads,
        ] => {
            let quantization = (kind == "quantize").then(Quantization::default);
            let (width, resolution) = (width.parse()?, resolution.parse()?);
            let (batch, threads) = (batch.parse()?, threads.parse()?);
            serve(env!("CARGO_PKG_VERSION"), || {
                let mut step = training_step(width, resolution, batch, threads, quantization)?;
                Ok(move || Ok(vec![step()?]))
            })
        }
        ["spin"] => spin(),
        ["integers", folder, threads] => integers(Path::new(folder), threads.parse()?),
        ["detector", kind, folder, threads] => detector(kind, Path::new(folder), threads.parse()?),
        [engine, folder, batch, threads] => {
            run(engine, Path::new(folder), batch.parse()?, threads.parse()?)
        }
        _ => Err("usage: peer plan|eager|candle FOLDER BATCH THREADS, or \
                  peer train|quantize WIDTH RESOLUTION BATCH THREADS"
            .into()),
    })
}

/// A loop that has forgotten to end does so by itself.
const LONGEST_SPIN: Duration = Duration::from_secs(600);

/// Takes a core until standard input ends, which it does when the other process ends in whatever way.
fn spin() -> Result<(), AnyError> {
    std::thread::spawn(|| {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(0);
    });
    println!("\"spinning\"");
    let start = Instant::now();
    while start.elapsed() < LONGEST_SPIN {}
    Ok(())
}

/// The network in `model.tflite`, on the bytes of `image.bin`.
fn integers(folder: &Path, threads: usize) -> Result<(), AnyError> {
    let bytes = std::fs::read(folder.join("image.bin"))?;
    let signed: Vec<i8> = bytes.iter().map(|&byte| byte as i8).collect();
    serve(env!("CARGO_PKG_VERSION"), || {
        let network = load_integers(&folder.join("model.tflite"), ReadLimits::default())?;
        let weights = QuantizedWeights::new(network, Arithmetic::Xnnpack)?;
        let options = IntegerPlanOptions {
            output: IntegerPlanOutput::Logits,
            ..IntegerPlanOptions::new(&weights, threads)
        };
        let mut plan = IntegerPlan::new(&weights, &options)?;
        let unsigned = matches!(
            weights.input(),
            ValueKind::Quantized(quantized) if quantized.integer == IntegerType::U8
        );
        let mut logits = vec![0.0; plan.output_len()];
        Ok(move || {
            let images = match unsigned {
                true => IntegerImages::U8(&bytes),
                false => IntegerImages::I8(&signed),
            };
            plan.run(&images, IntegerOutput::F32(&mut logits))?;
            Ok(logits.clone())
        })
    })
}

/// An SSD of random weights, or the detector in `model.tflite` with its post-processing.
fn detector(kind: &str, folder: &Path, threads: usize) -> Result<(), AnyError> {
    if kind == "f32" {
        let (image, _) = image(&folder.join("image.safetensors"))?;
        return serve(env!("CARGO_PKG_VERSION"), || {
            let config = SsdConfig::new(1.0, 90);
            let weights = Arc::new(FloatWeights::new(&random_ssd(&config)?)?);
            let mut plan = FloatDetectorPlan::new(weights, config.anchors()?.len(), threads)?;
            Ok(move || Ok(plan.run(&image)?.concat()))
        });
    }
    let bytes = std::fs::read(folder.join("image.bin"))?;
    serve(env!("CARGO_PKG_VERSION"), || {
        let model = folder.join("model.tflite");
        let weights = DetectorWeights::open(&model, Computation::default())?;
        let preprocessing = weights.preprocessing();
        let channels = preprocessing.mean.iter().zip(&preprocessing.std).cycle();
        let image: Vec<f32> = bytes
            .iter()
            .zip(channels)
            .map(|(&byte, (mean, std))| (f32::from(byte) / 255.0 - mean) / std)
            .collect();
        let mut plan = weights.plan(threads)?;
        let rule = weights.post_process().clone();
        Ok(move || {
            let found = plan.detect(&image, &rule)?;
            let boxes = found.iter().flat_map(|one| one.bounds);
            let classes = found.iter().map(|one| one.class as f32);
            let scores = found.iter().map(|one| one.score);
            Ok(boxes.chain(classes).chain(scores).collect())
        })
    })
}

fn run(engine: &str, folder: &Path, batch: usize, threads: usize) -> Result<(), AnyError> {
    let (image, [height, width]) = image(&folder.join("image.safetensors"))?;
    let images = image.repeat(batch);
    let tensor = Tensor::from_slice(&images, (batch, height, width, 3), &Device::Cpu)?;
    let tensor = tensor.permute((0, 3, 1, 2))?;
    let flat =
        |logits: Tensor| -> Result<Vec<f32>, AnyError> { Ok(logits.flatten_all()?.to_vec1()?) };
    let checkpoint = || {
        load(
            &folder.join("checkpoint.safetensors"),
            ReadLimits::default(),
        )
    };
    match engine {
        "plan" => serve(env!("CARGO_PKG_VERSION"), || {
            let checkpoint = checkpoint()?;
            let config = checkpoint.metadata.config();
            let weights = PlanWeights::consuming(WeightType::F32, &config, checkpoint.parameters)?;
            let mut plan =
                InferencePlan::new(&weights, &PlanOptions::new([height, width], threads))?;
            let mut logits = vec![0.0; batch * plan.output_len()];
            Ok(move || {
                plan.run(&images, &mut logits)?;
                Ok(logits.clone())
            })
        }),
        "eager" => serve(env!("CARGO_PKG_VERSION"), || {
            let network = checkpoint()?.build()?;
            Ok(move || flat(network.forward_t(&tensor, false)?))
        }),
        "candle" => serve("0.11", || {
            let checkpoint = checkpoint()?;
            let vb = var_builder(checkpoint.parameters.clone())?;
            let network = CandleBaseline::new(&checkpoint.metadata.config(), vb)?;
            Ok(move || flat(network.forward(&tensor)?))
        }),
        other => Err(format!("unknown engine {other}").into()),
    }
}

/// Reads the image that all engines take: NHWC values, and its rows and columns.
fn image(path: &Path) -> Result<(Vec<f32>, [usize; 2]), AnyError> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let view = file.tensor("image")?;
    let &[1, height, width, 3] = view.shape() else {
        return Err(format!("the image has shape {:?}", view.shape()).into());
    };
    let (chunks, _) = view.data().as_chunks::<4>();
    let values = chunks
        .iter()
        .map(|chunk| f32::from_le_bytes(*chunk))
        .collect();
    Ok((values, [height, width]))
}
