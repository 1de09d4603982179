//! `predict` in the integers of a quantised file.

use anyhow::{Context, Result, bail};
use mobilenet::model::array::Array;
use mobilenet::model::checkpoint::QuantizedCheckpoint;
use mobilenet::model::endpoint::head;
use mobilenet::model::npy::{self, NpyValue};
use mobilenet::model::quantized::{
    Arithmetic, IntegerImages, IntegerOutput, IntegerPlan, IntegerPlanOptions, IntegerPlanOutput,
    IntegerType, QuantizedWeights, ValueKind, with_output_stride,
};
use mobilenet::model::suggest::nearest;
use mobilenet::model::{ModelError, NetworkPlan};

use super::super::{load_integers, load_quantized};
use super::layout::to_nhwc;
use crate::args::{ArrayLayout, Engine, Predict};
use crate::threads;

/// Computes in integers and writes the output.
pub(super) fn run(arguments: &Predict) -> Result<()> {
    let given = [
        ("--engine eager", arguments.engine == Engine::Eager),
        ("--weight-type", arguments.weight_type.is_some()),
        (
            "--layout nchw",
            arguments.raw && arguments.layout == ArrayLayout::Nchw,
        ),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        bail!("{option} is not for networks of integers");
    }
    let arithmetic = arguments.arithmetic.map(Arithmetic::from);
    let network = match arguments.output_stride {
        None => load_integers(&arguments.weights)?,
        Some(_) if arguments.endpoint.is_none() => {
            bail!("--output-stride needs --endpoint: a pool of integers has a window of its own")
        }
        stride => {
            let QuantizedCheckpoint { network, metadata } = load_quantized(&arguments.weights)?;
            let mut config = metadata.config();
            config.base.output_stride = stride;
            with_output_stride(network, &config)?
        }
    };
    let weights = QuantizedWeights::new(network, arithmetic.unwrap_or_default())?;
    match (arguments.raw, weights.input()) {
        (false, _) => numbers(arguments, &weights),
        (true, ValueKind::F32) => {
            raw::<f32>(arguments, &weights, |values| IntegerImages::F32(values))
        }
        (true, ValueKind::Quantized(quantized)) => match quantized.integer {
            IntegerType::U8 => raw::<u8>(arguments, &weights, |values| IntegerImages::U8(values)),
            IntegerType::I8 => raw::<i8>(arguments, &weights, |values| IntegerImages::I8(values)),
        },
    }
}

/// The plan for an input, and the batch's size.
fn plan(
    arguments: &Predict,
    weights: &QuantizedWeights,
    shape: &[usize],
    own: IntegerPlanOutput,
) -> Result<(IntegerPlan, usize)> {
    let &[batch, height, width, channels] = shape else {
        bail!(ModelError::Rank { found: shape.len() });
    };
    let [_, _, expected] = weights.input_shape();
    if channels != expected {
        bail!(ModelError::InputChannels {
            expected,
            found: channels,
            shape: shape.to_vec(),
        });
    }
    let output = match &arguments.endpoint {
        None => own,
        Some(name) => {
            let known: Vec<&str> = weights.endpoints().collect();
            if !known.contains(&name.as_str()) {
                let hint = nearest(name, known.iter().copied());
                let hint = hint.map_or(String::new(), |name| format!(" (did you mean {name}?)"));
                bail!("no endpoint `{name}`{hint}; there are {}", known.join(", "));
            }
            IntegerPlanOutput::Endpoint(name.clone())
        }
    };
    let options = IntegerPlanOptions {
        size: [height, width],
        threads: threads::or_all_cores(arguments.threads),
        output,
    };
    Ok((IntegerPlan::new(weights, &options)?, batch))
}

/// Reads and writes the network's own values.
fn raw<T: NpyValue>(
    arguments: &Predict,
    weights: &QuantizedWeights,
    images: impl Fn(&[T]) -> IntegerImages<'_>,
) -> Result<()> {
    let input = npy::read_as::<T>(&arguments.input).context("cannot read the input")?;
    let (mut plan, batch) = plan(arguments, weights, input.shape(), IntegerPlanOutput::Own)?;
    let images = images(input.values());
    match plan.output() {
        ValueKind::F32 => write::<f32>(arguments, &mut plan, batch, &images, |values| {
            IntegerOutput::F32(values)
        }),
        ValueKind::Quantized(quantized) => match quantized.integer {
            IntegerType::U8 => write::<u8>(arguments, &mut plan, batch, &images, |values| {
                IntegerOutput::U8(values)
            }),
            IntegerType::I8 => write::<i8>(arguments, &mut plan, batch, &images, |values| {
                IntegerOutput::I8(values)
            }),
        },
    }
}

/// Runs the plan and writes values of its output.
fn write<T: NpyValue + Default>(
    arguments: &Predict,
    plan: &mut IntegerPlan,
    batch: usize,
    images: &IntegerImages<'_>,
    output: impl Fn(&mut [T]) -> IntegerOutput<'_>,
) -> Result<()> {
    let mut values = vec![T::default(); batch * plan.output_len()];
    plan.run(images, output(&mut values))?;
    let shape = shape(arguments.endpoint.as_deref(), batch, plan.output_shape());
    let array = Array::new(shape, values)?;
    Ok(npy::write_as(&arguments.output, &array)?)
}

/// Maps have four axes, vectors of classes two.
fn shape(endpoint: Option<&str>, batch: usize, [rows, columns, depth]: [usize; 3]) -> Vec<usize> {
    let classes = [head::LOGITS, head::PREDICTIONS];
    match endpoint {
        Some(name) if !classes.contains(&name) => vec![batch, rows, columns, depth],
        _ if rows * columns > 1 => vec![batch, rows, columns, depth],
        _ => vec![batch, depth],
    }
}

/// Numbers in, numbers out.
fn numbers(arguments: &Predict, weights: &QuantizedWeights) -> Result<()> {
    let input = npy::read(&arguments.input).context("cannot read the input")?;
    let [_, _, channels] = weights.input_shape();
    let input = to_nhwc(input, arguments.layout, channels)?;
    let (plan, batch) = plan(arguments, weights, input.shape(), IntegerPlanOutput::Logits)?;
    let shape = shape(arguments.endpoint.as_deref(), batch, plan.output_shape());
    let mut plan = NetworkPlan::Int8(Box::new(plan));
    let mut values = vec![0.0; batch * plan.output_len()];
    plan.run(input.values(), &mut values)?;
    let output = Array::new(shape, values)?;
    let output = match (arguments.layout, output.shape().len()) {
        (ArrayLayout::Nchw, 4) => output.permute(&[0, 3, 1, 2])?,
        _ => output,
    };
    Ok(npy::write(&arguments.output, &output)?)
}
