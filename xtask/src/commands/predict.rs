//! `predict`: an array through the network, number by number.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use mobilenet::model::endpoint::head;
use mobilenet::model::initialize::var_builder;
use mobilenet::model::{
    Endpoint, InferencePlan, MobileNetV1, MobileNetV1Base, MobileNetV1Config, ModelError,
    PlanOptions, PlanOutput, PlanWeights,
};
use npyz::{NpyFile, WriterBuilder};

use super::{load, weight_type};
use crate::cli::{ArrayLayout, Engine, Precision, Predict};
use crate::threads;

pub(crate) fn run(arguments: &Predict) -> Result<()> {
    let Precision::F32 = arguments.precision;
    let weight_type = weight_type(arguments.engine, arguments.weight_type)?;
    let checkpoint = load(&arguments.weights)?;
    let input = read(&arguments.input, arguments.layout)
        .with_context(|| format!("cannot read {}", arguments.input.display()))?;
    let mut config = checkpoint.metadata.config();
    config.base.output_stride = arguments.output_stride;
    let output = match (arguments.engine, arguments.endpoint.as_deref()) {
        // The plan gives maps of the body and logits; the head's other endpoints are candle's.
        (Engine::Plan, None | Some(head::LOGITS)) => {
            let weights = PlanWeights::consuming(weight_type, &config, checkpoint.parameters)?;
            plan(arguments, &config, &weights, &input, None)?
        }
        (Engine::Plan, Some(name)) if name.starts_with("Conv2d") => {
            let weights = PlanWeights::consuming(weight_type, &config, checkpoint.parameters)?;
            plan(arguments, &config, &weights, &input, Some(name.parse()?))?
        }
        (_, name) => threads::install(arguments.threads, || {
            eager(&config, var_builder(checkpoint.parameters), &input, name)
        })?,
    };
    write(&arguments.output, &output, arguments.layout)
        .with_context(|| format!("cannot write {}", arguments.output.display()))
}

/// The layers on candle.
fn eager(
    config: &MobileNetV1Config,
    vb: VarBuilder,
    input: &Tensor,
    endpoint: Option<&str>,
) -> Result<Tensor> {
    // A map of the body needs no more of the network than itself, so that no head can fail.
    if let Some(name) = endpoint.filter(|name| name.starts_with("Conv2d")) {
        let mut base = config.base.clone();
        base.final_endpoint = name.parse()?;
        return Ok(MobileNetV1Base::new(&base, vb)?.forward_t(input, false)?);
    }
    let name = endpoint.unwrap_or(head::LOGITS);
    let (_, endpoints) = MobileNetV1::new(config, vb)?.forward_endpoints(input, false)?;
    match endpoints.get(name) {
        Some(output) => Ok(output.clone()),
        None => bail!(
            "no endpoint `{name}`; there are {}",
            endpoints.names().join(", ")
        ),
    }
}

/// The inference plan.
fn plan(
    arguments: &Predict,
    config: &MobileNetV1Config,
    weights: &PlanWeights,
    input: &Tensor,
    endpoint: Option<Endpoint>,
) -> Result<Tensor> {
    let &[batch, channels, height, width] = input.dims() else {
        return Err(ModelError::Rank {
            found: input.rank(),
        }
        .into());
    };
    if channels != config.base.in_channels {
        let (expected, found) = (config.base.in_channels, channels);
        let shape = input.dims().to_vec();
        return Err(ModelError::InputChannels {
            expected,
            found,
            shape,
        }
        .into());
    }
    let threads = threads::or_all_cores(arguments.threads);
    let output = match (endpoint, config.classes()) {
        (Some(endpoint), _) => PlanOutput::Endpoint(endpoint),
        (None, Some(_)) => PlanOutput::Logits,
        (None, None) => bail!("the weights have no classifier; name an endpoint"),
    };
    let options = PlanOptions {
        output,
        output_stride: arguments.output_stride,
        ..PlanOptions::new([height, width], threads)
    };
    let mut plan = InferencePlan::new(weights, &options)?;
    let pixels = input
        .permute((0, 2, 3, 1))?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let mut values = vec![0.0; batch * plan.output_len()];
    plan.run(&pixels, &mut values)?;
    let [rows, columns, depth] = plan.output_shape();
    match endpoint {
        Some(_) => {
            let map = Tensor::from_vec(values, (batch, rows, columns, depth), &Device::Cpu)?;
            Ok(map.permute((0, 3, 1, 2))?)
        }
        None => Ok(Tensor::from_vec(values, (batch, depth), &Device::Cpu)?),
    }
}

/// An f32 array as `[B, C, H, W]`.
fn read(path: &Path, layout: ArrayLayout) -> Result<Tensor> {
    let file = File::open(path)?;
    let held = file.metadata()?.len();
    let array = NpyFile::new(BufReader::new(file))?;
    let shape = array
        .shape()
        .iter()
        .map(|&size| usize::try_from(size))
        .collect::<Result<Vec<usize>, _>>()?;
    let order = array.order();
    // The shape is believed only as far as the file reaches.
    let bytes = shape
        .iter()
        .try_fold(4usize, |bytes, &size| bytes.checked_mul(size))
        .filter(|&bytes| bytes as u64 <= held);
    if bytes.is_none() {
        bail!("shape {shape:?} of f32 needs more than the file's {held} bytes");
    }
    if order != npyz::Order::C {
        bail!("the array is in Fortran order; save it with numpy.ascontiguousarray");
    }
    let values: Vec<f32> = array.into_vec().context("expected f32 values")?;
    let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?;
    match (layout, tensor.rank()) {
        (ArrayLayout::Nhwc, 4) => Ok(tensor.permute((0, 3, 1, 2))?),
        // Another rank is the network's to refuse.
        _ => Ok(tensor),
    }
}

/// Writes beside the target and renames.
fn write(path: &Path, output: &Tensor, layout: ArrayLayout) -> Result<()> {
    let output = match (layout, output.rank()) {
        (ArrayLayout::Nhwc, 4) => output.permute((0, 2, 3, 1))?,
        _ => output.clone(),
    };
    let shape: Vec<u64> = output.dims().iter().map(|&size| size as u64).collect();
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let result = (|| -> Result<()> {
        let file = BufWriter::new(File::create(&partial)?);
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(file)
            .begin_nd()?;
        writer.extend(output.flatten_all()?.to_vec1::<f32>()?)?;
        writer.finish()?;
        let mut file = File::options().write(true).open(&partial)?;
        file.flush()?;
        file.sync_all()?;
        Ok(std::fs::rename(&partial, path)?)
    })();
    if result.is_err() {
        // The first error is the one to tell.
        drop(std::fs::remove_file(&partial));
    }
    result
}
