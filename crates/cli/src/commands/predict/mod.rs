//! `predict`: runs the network on an array and writes the output as an array.

mod integers;
mod layout;

use anyhow::{Context, Result, bail};
use mobilenet::model::architecture::body_layers;
use mobilenet::model::array::Array;
use mobilenet::model::checkpoint::Checkpoint;
use mobilenet::model::endpoint::head;
use mobilenet::model::suggest::nearest;
use mobilenet::model::{
    InferencePlan, MobileNetV1Config, PlanOptions, PlanOutput, PlanWeights, npy,
};

use super::{load, weight_type};
use crate::args::{ArrayLayout, Engine, Precision, Predict};
use crate::threads;
use layout::to_nhwc;

pub(crate) fn run(arguments: &Predict) -> Result<()> {
    if arguments.raw || arguments.precision == Precision::Int8 {
        return integers::run(arguments);
    }
    if arguments.arithmetic.is_some() {
        bail!("--arithmetic is for --raw and --precision int8");
    }
    let checkpoint = load(&arguments.weights)?;
    let input = npy::read(&arguments.input).context("cannot read the input")?;
    let mut config = checkpoint.metadata.config();
    config.base.output_stride = arguments.output_stride;
    let input = to_nhwc(input, arguments.layout, config.base.in_channels)?;
    let output = match arguments.engine {
        Engine::Plan => plan(arguments, &config, checkpoint, &input)?,
        Engine::Eager => {
            weight_type(arguments.engine, arguments.weight_type)?;
            eager(arguments, &config, checkpoint, &input)?
        }
    };
    let output = match (arguments.layout, output.shape().len()) {
        (ArrayLayout::Nchw, 4) => output.permute(&[0, 3, 1, 2])?,
        _ => output,
    };
    Ok(npy::write(&arguments.output, &output)?)
}

/// The output that the user asks for.
enum Wanted {
    Output(PlanOutput),
    /// Pooled features, `[batch, 1, 1, features]`.
    Pooled,
    Predictions,
}

impl Wanted {
    fn parse(name: Option<&str>, config: &MobileNetV1Config) -> Result<Self> {
        let pool = match config.global_pool {
            true => head::GLOBAL_POOL,
            false => head::AVG_POOL,
        };
        let mut of_head = vec![pool];
        if config.classes().is_some() {
            of_head.push(head::LOGITS);
        }
        if config.classes().is_some() && config.prediction_fn.is_some() {
            of_head.push(head::PREDICTIONS);
        }
        let mut names: Vec<String> = body_layers(&config.base)?
            .iter()
            .map(|layer| layer.endpoint.to_string())
            .collect();
        names.extend(of_head.iter().map(|name| name.to_string()));
        match name {
            None if config.classes().is_some() => Ok(Self::Output(PlanOutput::Logits)),
            None => bail!("the weights have no classifier; use --endpoint"),
            Some(name) if !names.iter().any(|known| known == name) => {
                let known = names.iter().map(String::as_str);
                let hint = nearest(name, known).map(|name| format!(" (did you mean {name}?)"));
                let hint = hint.unwrap_or_default();
                bail!("no endpoint `{name}`{hint}; there are {}", names.join(", "))
            }
            Some(head::LOGITS) => Ok(Self::Output(PlanOutput::Logits)),
            Some(head::PREDICTIONS) => Ok(Self::Predictions),
            Some(name) if name == pool => Ok(Self::Pooled),
            Some(name) => Ok(Self::Output(PlanOutput::Endpoint(name.parse()?))),
        }
    }
}

/// Computes with the inference plan. Input and output are NHWC.
fn plan(
    arguments: &Predict,
    config: &MobileNetV1Config,
    checkpoint: Checkpoint,
    input: &Array,
) -> Result<Array> {
    let weight_type = weight_type(arguments.engine, arguments.weight_type)?;
    let wanted = Wanted::parse(arguments.endpoint.as_deref(), config)?;
    let &[batch, height, width, _] = input.shape() else {
        bail!("the input does not have 4 axes");
    };
    let options = PlanOptions {
        output: match wanted {
            Wanted::Output(output) => output,
            Wanted::Pooled => PlanOutput::Features,
            Wanted::Predictions => PlanOutput::Logits,
        },
        output_stride: arguments.output_stride,
        ..PlanOptions::new([height, width], threads::or_all_cores(arguments.threads))
    };
    let weights = PlanWeights::consuming(weight_type, config, checkpoint.parameters)?;
    let mut plan = InferencePlan::new(&weights, &options)?;
    let mut values = vec![0.0; batch * plan.output_len()];
    plan.run(input.values(), &mut values)?;
    let [rows, columns, depth] = plan.output_shape();
    if let (Wanted::Predictions, Some(prediction_fn)) = (&wanted, config.prediction_fn) {
        values.chunks_exact_mut(depth).for_each(prediction_fn);
    }
    Ok(match wanted {
        Wanted::Output(PlanOutput::Endpoint(_)) | Wanted::Pooled => {
            Array::new([batch, rows, columns, depth], values)?
        }
        Wanted::Output(_) | Wanted::Predictions => Array::new([batch, depth], values)?,
    })
}

/// Computes with the layers on candle. Input and output are NHWC.
#[cfg(feature = "candle")]
fn eager(
    arguments: &Predict,
    config: &MobileNetV1Config,
    checkpoint: Checkpoint,
    input: &Array,
) -> Result<Array> {
    threads::install(arguments.threads, || {
        on_candle(config, checkpoint, input, arguments.endpoint.as_deref())
    })
}

#[cfg(feature = "candle")]
fn on_candle(
    config: &MobileNetV1Config,
    checkpoint: Checkpoint,
    input: &Array,
    endpoint: Option<&str>,
) -> Result<Array> {
    use candle_core::Tensor;
    use mobilenet::model::candle::var_builder;
    use mobilenet::model::{MobileNetV1, MobileNetV1Base};

    let input = Tensor::try_from(input)?.permute((0, 3, 1, 2))?;
    let vb = var_builder(checkpoint.parameters)?;
    let output = if let Some(name) = endpoint.filter(|name| name.starts_with("Conv2d")) {
        // Build the body only: the head may fail on inputs that the body accepts.
        let mut base = config.base.clone();
        base.final_endpoint = name.parse()?;
        MobileNetV1Base::new(&base, vb)?.forward_t(&input, false)?
    } else {
        let name = endpoint.unwrap_or(head::LOGITS);
        let (_, endpoints) = MobileNetV1::new(config, vb)?.forward_endpoints(&input, false)?;
        let names = || endpoints.names().join(", ");
        let output = endpoints.get(name);
        let output = output.with_context(|| format!("no endpoint `{name}`; there are {}", names()));
        output?.clone()
    };
    let output = match output.rank() {
        4 => output.permute((0, 2, 3, 1))?,
        _ => output,
    };
    let values = output.flatten_all()?.to_vec1()?;
    Ok(Array::new(output.dims(), values)?)
}

#[cfg(not(feature = "candle"))]
fn eager(_: &Predict, _: &MobileNetV1Config, _: Checkpoint, _: &Array) -> Result<Array> {
    bail!("{}", super::WITHOUT_CANDLE)
}
