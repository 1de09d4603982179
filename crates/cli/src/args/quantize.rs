//! Arguments of `quantize`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SchemeName;
use crate::values::{Size, share, size};

/// Format of a file of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IntegerFormat {
    /// Our own
    Safetensors,
    /// For LiteRT
    Tflite,
    /// For ONNX Runtime and others: nodes that quantise and dequantise (QDQ)
    Onnx,
}

/// How ranges of activations are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RangeRule {
    /// From the smallest to the largest value
    MinMax,
    /// Without the share of --outliers
    Percentile,
    /// With the least mean square error
    Mse,
}

/// Arguments of `quantize`.
#[derive(Debug, Args)]
pub struct Quantize {
    /// Weights
    #[arg(value_name = "W")]
    pub(crate) weights: String,
    /// File to write, in the format of --to or that its ending names
    #[arg(value_name = "OUT.safetensors|OUT.tflite|OUT.onnx")]
    pub(crate) output: PathBuf,
    /// Folder of photos like those that the network will see. Some are held back for the comparison
    #[arg(long, value_name = "DIR")]
    pub(crate) calibration: PathBuf,
    /// Most photos to calibrate with; at least a fifth of all is held back
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) photos: u64,
    /// Folder of photos to compare on, in place of those that are held back
    #[arg(long, value_name = "DIR")]
    pub(crate) test: Option<PathBuf>,
    /// How weights become integers
    #[arg(long, value_enum, default_value_t = SchemeName::PerChannel)]
    pub(crate) scheme: SchemeName,
    /// Bits of a weight. 7 let x86 processors without VNNI multiply twice as fast; both take a byte
    #[arg(long, value_name = "2..8", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=8))]
    pub(crate) weight_bits: u32,
    /// Format to write [default: by the ending of OUT]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) to: Option<IntegerFormat>,
    /// How ranges of activations are found; ReLU6's is fixed
    #[arg(long, value_enum, default_value_t = RangeRule::MinMax)]
    pub(crate) range: RangeRule,
    /// Share of the values that --range percentile leaves out
    #[arg(long, value_name = "SHARE", default_value_t = 0.0001, value_parser = share)]
    pub(crate) outliers: f64,
    /// Keep biases as they are, although rounding shifts the means of channels
    #[arg(long)]
    pub(crate) no_bias_correction: bool,
    /// Round weights to the nearest integers, in place of those whose errors cancel on the photos
    #[arg(long)]
    pub(crate) nearest: bool,
    /// Scale channels with small weights up where ReLU6 bears it [default: only per tensor]
    #[arg(long, value_name = "true|false")]
    pub(crate) equalize: Option<bool>,
    /// Image side, or rows and columns [default: the weights' own]
    #[arg(long, value_name = "PIXELS|ROWSxCOLUMNS", value_parser = size)]
    pub(crate) resolution: Option<Size>,
    /// Draw the report to OUT.svg
    #[arg(long)]
    pub(crate) plot: bool,
    /// Print the report as one JSON object
    #[arg(short, long)]
    pub(crate) json: bool,
}
