//! `inspect`: prints the layer table.

use anyhow::Result;
use mobilenet::model::MobileNetV1Config;
use mobilenet::model::inspect::summary;

use super::load;
use crate::args::Inspect;
use crate::output;
use crate::table::{grouped, plain};
use crate::values::Size;

pub(crate) fn run(arguments: &Inspect) -> Result<()> {
    let (mut config, mut size) = match &arguments.weights {
        Some(weights) => {
            let metadata = load(weights)?.metadata;
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
    let summary = summary(&config, size[0], size[1])?;
    if arguments.json {
        return output::json(&summary);
    }
    output::line(plain(&summary))?;
    output::line(format!(
        "\nparameters {} ({} trainable), multiply-adds {} (body {})",
        grouped(summary.parameters as u64),
        grouped(summary.trainable_parameters as u64),
        grouped(summary.multiply_adds),
        grouped(summary.body_multiply_adds),
    ))
}
