//! `convert`: weights of any format -> our safetensors.

use std::path::Path;

use anyhow::Result;
use mobilenet::model::checkpoint::{
    Checkpoint, CheckpointError, Format, LoadReport, Metadata, ReadLimits, WeightsDtype, load_as,
    save,
};
use serde::Serialize;

use super::{load, with_rule};
use crate::cli::{Convert, FileDtype, FileFormat};
use crate::output;
use mobilenet::hub::HubError;

#[derive(Serialize)]
struct Line<'a> {
    output: Option<String>,
    metadata: Option<&'a Metadata>,
    report: &'a LoadReport,
}

pub(crate) fn run(arguments: &Convert) -> Result<()> {
    let mut checkpoint = match read(arguments) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            if let (true, HubError::Checkpoint(CheckpointError::Incomplete { report, .. })) =
                (arguments.json, &error)
            {
                output::json(&Line {
                    output: None,
                    metadata: None,
                    report,
                })?;
            }
            return Err(error.into());
        }
    };
    if let Some(classes) = arguments.classes {
        checkpoint = checkpoint.with_classes(Some(classes), arguments.seed)?;
    }
    let preprocessing = &mut checkpoint.metadata.preprocessing;
    if let Some(side) = arguments.resolution {
        preprocessing.size = [side as usize; 2];
    }
    if let Some(rule) = arguments.preprocess {
        *preprocessing = with_rule(preprocessing, rule);
    }
    let dtype = match arguments.dtype {
        FileDtype::F32 => WeightsDtype::F32,
        FileDtype::F16 => WeightsDtype::F16,
        FileDtype::Bf16 => WeightsDtype::Bf16,
    };
    save(&arguments.output, &checkpoint, dtype)?;
    let Checkpoint {
        metadata, report, ..
    } = &checkpoint;
    if arguments.json {
        let output = Some(arguments.output.display().to_string());
        return output::json(&Line {
            output,
            metadata: Some(metadata),
            report,
        });
    }
    output::line(report.to_string())?;
    output::line(describe(metadata))?;
    let bytes = std::fs::metadata(&arguments.output)?.len();
    output::line(format!(
        "written: {} ({bytes} bytes)",
        arguments.output.display()
    ))
}

fn read(arguments: &Convert) -> Result<Checkpoint, HubError> {
    let Some(format) = arguments.from else {
        return load(&arguments.input);
    };
    let format = match format {
        FileFormat::Safetensors => Format::Safetensors,
        FileFormat::GraphDef => Format::GraphDef,
        FileFormat::Pytorch => Format::PyTorch,
    };
    Ok(load_as(
        Path::new(&arguments.input),
        Some(format),
        ReadLimits::default(),
    )?)
}

fn describe(metadata: &Metadata) -> String {
    let classes = metadata
        .classes
        .map_or("no classifier".into(), |n| format!("{n} classes"));
    let [height, width] = metadata.preprocessing.size;
    format!(
        "width {}, {classes}, {} input channels, {width}x{height}, epsilon {}, {:?} padding\n\
         preprocessing: {:?}, mean {:?}, std {:?}\nsource: {}",
        metadata.width,
        metadata.in_channels,
        metadata.batch_norm_epsilon,
        metadata.padding,
        metadata.preprocessing.resize,
        metadata.preprocessing.mean,
        metadata.preprocessing.std,
        metadata.source,
    )
}
