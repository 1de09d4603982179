//! `inspect`: prints the layer table.

use anyhow::Result;
use mobilenet::model::MobileNetV1Config;
use mobilenet::model::checkpoint::{ReadLimits, exists, is_quantized};
use mobilenet::model::inspect::{Summary, summary};
use mobilenet::model::prior_work;
use mobilenet::model::quantized::{IntegerSummary, integer_summary};
use serde::Serialize;

use super::{load, load_quantized};
use crate::args::Inspect;
use crate::output;
use crate::table::{grouped, plain, scales};
use crate::values::Size;

/// The network, and the integers of a quantised file.
#[derive(Serialize)]
struct Described {
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    integers: Option<Vec<IntegerSummary>>,
}

pub(crate) fn run(arguments: &Inspect) -> Result<()> {
    if let Some(name) = &arguments.network {
        let size = arguments.resolution.map(|Size(size)| size);
        let summary = prior_work::summary_of(name, size)?;
        return print(arguments, summary, None);
    }
    let mut integers = None;
    let (mut config, mut size) = match &arguments.weights {
        Some(weights) => {
            let path = weights.as_ref();
            let metadata = if exists(path) && is_quantized(path, ReadLimits::default())? {
                let quantized = load_quantized(weights)?;
                integers = Some(integer_summary(quantized.network)?);
                quantized.metadata
            } else {
                load(weights)?.metadata
            };
            (metadata.config(), metadata.preprocessing.size)
        }
        None => {
            let num_classes = Some(arguments.classes);
            let config = MobileNetV1Config {
                num_classes,
                ..MobileNetV1Config::with_width(arguments.width)
            };
            (config, [224, 224])
        }
    };
    if let Some(Size(given)) = arguments.resolution {
        size = given;
        config.global_pool = true;
    }
    config.base.output_stride = arguments.output_stride;
    print(arguments, summary(&config, size[0], size[1])?, integers)
}

fn print(
    arguments: &Inspect,
    summary: Summary,
    integers: Option<Vec<IntegerSummary>>,
) -> Result<()> {
    if arguments.json {
        return output::json(&Described { summary, integers });
    }
    output::line(plain(&summary))?;
    output::line(format!(
        "\nparameters {} ({} trainable), multiply-adds {} (body {})",
        grouped(summary.parameters as u64),
        grouped(summary.trainable_parameters as u64),
        grouped(summary.multiply_adds),
        grouped(summary.body_multiply_adds),
    ))?;
    match integers {
        Some(integers) => output::line(format!("\n{}", scales(&integers))),
        None => Ok(()),
    }
}
