//! `inspect`: prints the layer table.

use anyhow::Result;
use mobilenet::model::MobileNetV1Config;
use mobilenet::model::checkpoint::{Compression, ReadLimits, compression_of, exists, is_quantized};
use mobilenet::model::inspect::{Summary, summary};
use mobilenet::model::prior_work;
use mobilenet::model::quantized::{IntegerSummary, integer_summary};
use serde::Serialize;

use super::{load, load_quantized};
use crate::args::Inspect;
use crate::output;
use crate::table::{coded, grouped, plain, scales};
use crate::values::Size;

/// The network, and the integers of a quantised file.
#[derive(Serialize)]
struct Described {
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    integers: Option<Vec<IntegerSummary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<Compression>,
}

impl From<Summary> for Described {
    fn from(summary: Summary) -> Self {
        Self {
            summary,
            integers: None,
            compression: None,
        }
    }
}

pub(crate) fn run(arguments: &Inspect) -> Result<()> {
    if let Some(name) = &arguments.network {
        let size = arguments.resolution.map(|Size(size)| size);
        return print(arguments, prior_work::summary_of(name, size)?.into());
    }
    let (mut integers, mut compression) = (None, None);
    let (mut config, mut size) = match &arguments.weights {
        Some(weights) => {
            let path = weights.as_ref();
            let metadata = if exists(path) && is_quantized(path, ReadLimits::default())? {
                let quantized = load_quantized(weights)?;
                integers = Some(integer_summary(quantized.network)?);
                quantized.metadata
            } else {
                if exists(path) {
                    compression = compression_of(path, ReadLimits::default())?;
                }
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
    let described = Described {
        summary: summary(&config, size[0], size[1])?,
        integers,
        compression,
    };
    print(arguments, described)
}

fn print(arguments: &Inspect, described: Described) -> Result<()> {
    if arguments.json {
        return output::json(&described);
    }
    let Described {
        summary,
        integers,
        compression,
    } = described;
    output::line(plain(&summary))?;
    output::line(format!(
        "\nparameters {} ({} trainable), multiply-adds {} (body {})",
        grouped(summary.parameters as u64),
        grouped(summary.trainable_parameters as u64),
        grouped(summary.multiply_adds),
        grouped(summary.body_multiply_adds),
    ))?;
    if let Some(compression) = compression {
        output::line(format!("\n{}", coded(&compression)))?;
    }
    match integers {
        Some(integers) => output::line(format!("\n{}", scales(&integers))),
        None => Ok(()),
    }
}
