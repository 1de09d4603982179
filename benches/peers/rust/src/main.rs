//! `rust-peers tract|rten MODEL.onnx IMAGE.f32 BATCH THREADS`: see `../README.md` for the
//! protocol. The image is the batch as raw f32, NCHW.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

type Run = Box<dyn FnMut() -> Result<Vec<f32>, Box<dyn Error>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, model, image, shape @ .., threads] = arguments.as_slice() else {
        return Err("usage: rust-peers tract|rten MODEL.onnx IMAGE.f32 BATCH HEIGHT WIDTH THREADS".into());
    };
    let shape = shape.iter().map(|size| size.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [batch, height, width] = shape[..] else { return Err("BATCH HEIGHT WIDTH".into()) };
    let bytes = std::fs::read(image)?;
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])).collect();
    let threads: usize = threads.parse()?;
    let shape = [batch, 3, height, width];

    let start = Instant::now();
    let (mut run, version) = match engine.as_str() {
        "tract" if threads == 1 => (tract(model, values, shape)?, "0.23.9"),
        "tract" => return Err("tract computes on one thread".into()),
        "rten" => (rten(model, values, shape, threads)?, "0.27.0"),
        other => return Err(format!("unknown engine {other}").into()),
    };
    let logits = run()?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut out = std::io::stdout();
    writeln!(out, r#"{{"version": "{version}", "load_ms": {load_ms}, "logits": {logits:?}}}"#)?;
    for line in std::io::stdin().lock().lines() {
        let count: usize = line?.trim_start_matches("run ").trim().parse()?;
        let mut times = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            run()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        writeln!(out, "{times:?}")?;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = peak.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0);
    writeln!(out, r#"{{"peak_rss_mb": {}}}"#, kib / 1024.0)?;
    Ok(())
}

fn tract(model: &str, values: Vec<f32>, shape: [usize; 4]) -> Result<Run, Box<dyn Error>> {
    use tract_onnx::prelude::*;
    let plan = tract_onnx::onnx().model_for_path(model)?.into_optimized()?.into_runnable()?;
    let image: Tensor = tract_ndarray::Array4::from_shape_vec(shape, values)?.into();
    let image: TValue = image.into();
    Ok(Box::new(move || {
        let outputs = plan.run(tvec!(image.clone()))?;
        Ok(outputs[0].try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    }))
}

fn rten(model: &str, values: Vec<f32>, shape: [usize; 4], threads: usize) -> Result<Run, Box<dyn Error>> {
    use rten::{Model, ModelOptions, RunOptions, ThreadPool};
    use rten_tensor::NdTensor;
    use rten_tensor::prelude::*;
    let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(model)?;
    let image = NdTensor::from_data(shape, values);
    let _: fn() -> Option<Model> = || None;
    let options = RunOptions::default()
        .with_thread_pool(Some(std::sync::Arc::new(ThreadPool::with_num_threads(threads))));
    Ok(Box::new(move || {
        let output = model.run_one(image.view().into(), Some(options.clone()))?;
        let logits: NdTensor<f32, 2> = output.try_into()?;
        Ok(logits.to_vec())
    }))
}
