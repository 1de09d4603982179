//! `quantize`: f32 weights and photos -> a network of 8-bit integers, compared with the float
//! network on other photos.

mod plot;
mod summary;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use mobilenet::compress::quantize::{
    Comparison, Quantization, QuantizeOptions, RangeMethod, Scheme, quantize,
};
use mobilenet::model::checkpoint::{
    save_integer_onnx, save_integer_safetensors, save_integer_tflite,
};
use mobilenet::model::file::write_atomically;
use mobilenet::model::preprocess::Preprocessing;

use super::calibration::{each, pixels, split};
use super::load;
use crate::args::{IntegerFormat, Quantize, RangeRule, SchemeName};
use crate::output;
use summary::{LayerLine, Report};

pub(crate) fn run(arguments: &Quantize) -> Result<()> {
    let format = format(arguments);
    let mut checkpoint = load(&arguments.weights)?;
    if let Some(size) = arguments.resolution {
        checkpoint.metadata = checkpoint.metadata.with_size(size.0);
    }
    let (calibration, test) = split(
        &arguments.calibration,
        arguments.test.as_deref(),
        arguments.photos as usize,
    )?;
    let rule = &checkpoint.metadata.preprocessing;
    let images = pixels(rule, &calibration)?;
    let quantization = quantize(&checkpoint, &images, &options(arguments))?;
    let calibration_photos = images.len();
    drop(images);
    let comparison = compare(&quantization, rule, &test)?;

    let Quantization {
        network, metadata, ..
    } = &quantization;
    match format {
        IntegerFormat::Safetensors => {
            save_integer_safetensors(&arguments.output, network, metadata)
        }
        IntegerFormat::Tflite => save_integer_tflite(&arguments.output, network, metadata),
        IntegerFormat::Onnx => save_integer_onnx(&arguments.output, network, metadata),
    }?;
    let report = Report {
        output: arguments.output.display().to_string(),
        scheme: scheme_name(arguments.scheme),
        weight_bits: arguments.weight_bits,
        calibration_photos,
        test_photos: comparison.images,
        same_class: comparison.same_class,
        agreement: comparison.agreement(),
        layers: layers(&comparison),
    };
    if arguments.plot {
        let path = arguments.output.with_extension("svg");
        write_atomically(&path, plot::svg(&report).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    match arguments.json {
        true => output::json(&report),
        false => summary::print(&report, &arguments.output),
    }
}

/// The format of --to, or of the output's ending. Without either, the usage is wrong.
fn format(arguments: &Quantize) -> IntegerFormat {
    let ending = arguments
        .output
        .extension()
        .and_then(|ending| ending.to_str());
    let of_ending = match ending {
        Some("safetensors") => Some(IntegerFormat::Safetensors),
        Some("tflite") => Some(IntegerFormat::Tflite),
        Some("onnx") => Some(IntegerFormat::Onnx),
        _ => None,
    };
    arguments.to.or(of_ending).unwrap_or_else(|| {
        let problem = format!(
            "{}: neither the ending nor --to says which format to write\n",
            arguments.output.display()
        );
        clap::Error::raw(ErrorKind::MissingRequiredArgument, problem).exit()
    })
}

fn options(arguments: &Quantize) -> QuantizeOptions {
    let scheme = match arguments.scheme {
        SchemeName::PerChannel => Scheme::PerChannel,
        SchemeName::PerTensor => Scheme::PerTensor,
    };
    let defaults = QuantizeOptions::new(scheme);
    QuantizeOptions {
        weight_bits: arguments.weight_bits,
        range: match arguments.range {
            RangeRule::MinMax => RangeMethod::MinMax,
            RangeRule::Percentile => RangeMethod::Percentile(arguments.outliers),
            RangeRule::Mse => RangeMethod::MeanSquareError,
        },
        bias_correction: !arguments.no_bias_correction,
        adaptive_rounding: !arguments.nearest,
        equalization: arguments.equalize.unwrap_or(defaults.equalization),
        ..defaults
    }
}

fn scheme_name(scheme: SchemeName) -> &'static str {
    match scheme {
        SchemeName::PerChannel => "per-channel",
        SchemeName::PerTensor => "per-tensor",
    }
}

fn compare(
    quantization: &Quantization,
    rule: &Preprocessing,
    files: &[PathBuf],
) -> Result<Comparison> {
    let of = |photo: &_| Ok(quantization.compare(&rule.pixels(photo)?)?);
    let mut all = Comparison::default();
    for one in each(files, of) {
        all.merge(&one);
    }
    Ok(all)
}

fn layers(comparison: &Comparison) -> Vec<LayerLine> {
    let layers = comparison.layers.iter().map(|layer| LayerLine {
        name: layer.name.clone(),
        decibels: Some(layer.decibels()).filter(|decibels| decibels.is_finite()),
    });
    layers.collect()
}
