//! `convert`: weights of any format -> our safetensors, a framework's safetensors, ONNX or TFLite.

use std::path::Path;

use anyhow::{Result, bail};
use mobilenet::model::checkpoint::{
    Agreement, Checkpoint, CheckpointError, Framework, LoadOptions, LoadReport, Metadata,
    ReadLimits, Reference, WeightsDtype, framework_call, save_as, save_onnx, save_tflite,
};
use mobilenet::model::labels::Labels;
use serde::Serialize;

use super::compress::{self, Summary};
use super::load_with;
use crate::args::{Convert, FileDtype, FileNames};
use crate::output;
use crate::values::Size;
use mobilenet::hub::HubError;

#[derive(Serialize)]
struct Line<'a> {
    output: Option<String>,
    metadata: Option<&'a Metadata>,
    report: &'a LoadReport,
    verification: Option<Agreement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<Summary>,
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
                    verification: None,
                    compression: None,
                })?;
            }
            return Err(error.into());
        }
    };
    let verification = match &arguments.verify {
        Some(path) => {
            let reference = Reference::read(path, ReadLimits::default())?;
            Some(reference.compare(&checkpoint)?)
        }
        None => None,
    };
    if let Some(agreement) = verification.filter(|agreement| !agreement.is_good()) {
        bail!(
            "{}: {}; nothing is written",
            arguments.input,
            agreement_text(&agreement)
        );
    }
    if let Some(classes) = arguments.classes {
        checkpoint = checkpoint.with_classes(Some(classes), arguments.seed)?;
    }
    arguments.overrides.apply(&mut checkpoint)?;
    if arguments.fold && !checkpoint.metadata.folded {
        checkpoint = checkpoint.fold()?;
    }
    if let Some(Size(size)) = arguments.resolution {
        checkpoint.metadata = checkpoint.metadata.with_size(size);
    }
    if let Some(rule) = arguments.preprocess {
        let preprocessing = &mut checkpoint.metadata.preprocessing;
        *preprocessing = rule.instead_of(preprocessing);
    }
    let framework = match arguments.to {
        None => Framework::Ours,
        Some(FileNames::Slim) => Framework::Slim,
        Some(FileNames::Hf) => Framework::HuggingFace,
        Some(FileNames::Timm) => Framework::Timm,
        Some(FileNames::Keras) => Framework::Keras,
    };
    let compression = match arguments.compress.method() {
        Some(method) => {
            let summary = compress::write(arguments, &mut checkpoint, method)?;
            Some(summary)
        }
        None => {
            write(arguments, &checkpoint, framework)?;
            None
        }
    };
    let Checkpoint {
        metadata, report, ..
    } = &checkpoint;
    if arguments.json {
        let output = Some(arguments.output.display().to_string());
        return output::json(&Line {
            output,
            metadata: Some(metadata),
            report,
            verification,
            compression,
        });
    }
    output::line(report.to_string())?;
    output::line(describe(metadata))?;
    if let Some(agreement) = verification {
        output::line(agreement_text(&agreement))?;
    }
    if let (Some(_), Ok(call)) = (arguments.to, framework_call(framework, metadata)) {
        output::line(format!("{framework} builds it with {call}"))?;
    }
    if let Some(summary) = compression {
        output::line(summary.to_string())?;
    }
    let bytes = std::fs::metadata(&arguments.output)?.len();
    output::line(format!(
        "written: {} ({bytes} bytes)",
        arguments.output.display()
    ))
}

/// Writes the format that the ending of the file's name says.
fn write(arguments: &Convert, checkpoint: &Checkpoint, framework: Framework) -> Result<()> {
    let dtype = match arguments.dtype {
        FileDtype::F32 => WeightsDtype::F32,
        FileDtype::F16 => WeightsDtype::F16,
        FileDtype::Bf16 => WeightsDtype::Bf16,
    };
    let output: &Path = &arguments.output;
    let ending = output.extension().and_then(|ending| ending.to_str());
    let (save, format): (fn(&Path, &Checkpoint) -> _, _) = match ending {
        Some("onnx") => (save_onnx, "ONNX"),
        Some("tflite") => (save_tflite, "TFLite"),
        _ => return Ok(save_as(output, checkpoint, dtype, framework)?),
    };
    if arguments.to.is_some() {
        bail!("--to applies to safetensors, not to {format}");
    }
    if dtype != WeightsDtype::F32 {
        bail!("{format} is written in f32 only");
    }
    Ok(save(output, checkpoint)?)
}

fn read(arguments: &Convert) -> Result<Checkpoint, HubError> {
    let options = LoadOptions {
        format: arguments.from,
        averages: arguments.ema,
        ..arguments.overrides.load_options()
    };
    load_with(&arguments.input, &options)
}

fn agreement_text(agreement: &Agreement) -> String {
    format!(
        "logits differ from the reference by at most {:.2e}, relative {:.2e} ({} is allowed)",
        agreement.max_absolute,
        agreement.max_relative,
        Agreement::TOLERANCE
    )
}

/// Numbers as people write them: one if all are equal.
fn list(values: &[f32]) -> String {
    match values.split_first() {
        Some((first, rest)) if rest.iter().all(|value| value == first) => first.to_string(),
        _ => {
            let texts: Vec<String> = values.iter().map(f32::to_string).collect();
            texts.join(", ")
        }
    }
}

fn describe(metadata: &Metadata) -> String {
    let classes = metadata
        .classes
        .map_or("no classifier".into(), |n| format!("{n} classes"));
    let [height, width] = metadata.preprocessing.size;
    let normalization = match metadata.folded {
        true => "batch norm folded".to_string(),
        false => format!("epsilon {}", metadata.batch_norm_epsilon),
    };
    let labels = match &metadata.labels {
        Labels::ImageNet => "ImageNet's labels".to_string(),
        Labels::Names(names) => format!("{} labels", names.len()),
        Labels::Unknown => "no labels".to_string(),
    };
    format!(
        "width {}, {classes}, {} input channels, {width}x{height}, {normalization}, {}, {}, \
         {labels}\npreprocessing: {}, mean {}, std {}\nsource: {}",
        metadata.width,
        metadata.in_channels,
        metadata.padding,
        metadata.activation,
        metadata.preprocessing.resize,
        list(&metadata.preprocessing.mean),
        list(&metadata.preprocessing.std),
        metadata.source,
    )
}
