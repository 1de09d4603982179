//! Arguments of `choose`.

use std::path::PathBuf;

use clap::Args;

use super::engine::Precision;
use crate::values::{Size, positive, size, threads, width};

/// Arguments of `choose`.
#[derive(Debug, Args)]
pub struct Choose {
    /// Most milliseconds for an image on this machine
    #[arg(long, value_name = "MS", value_parser = positive)]
    pub(crate) max_ms: Option<f64>,
    /// Largest file of weights, in MB of a million bytes: f32 as convert writes it, int8 as quantize
    /// does
    #[arg(long, value_name = "MB", value_parser = positive)]
    pub(crate) max_mb: Option<f64>,
    /// Most memory for weights and maps while it runs, in MB
    #[arg(long, value_name = "MB", value_parser = positive)]
    pub(crate) max_memory_mb: Option<f64>,
    /// Least top-1 accuracy on ImageNet, in percent, as published
    #[arg(long, value_name = "PERCENT", value_parser = positive)]
    pub(crate) min_accuracy: Option<f64>,
    /// Number of threads
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = threads())]
    pub(crate) threads: u64,
    /// Number type of the computation [default: both]
    #[arg(long, value_enum)]
    pub(crate) precision: Option<Precision>,
    /// Another width multiplier to consider, with all resolutions; may be repeated. Its time is
    /// interpolated between the 16 published sizes, which are measured
    #[arg(long, value_name = "WIDTH", value_parser = width)]
    pub(crate) width: Vec<f64>,
    /// Another image side, or rows and columns, to consider with all widths; may be repeated
    #[arg(long, value_name = "PIXELS|ROWSxCOLUMNS", value_parser = size)]
    pub(crate) resolution: Vec<Size>,
    /// Measured runs of each network; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) repeat: u64,
    /// Measure the other sizes too, ten of them if none is named, and say how far the interpolated
    /// times are off
    #[arg(long)]
    pub(crate) verify: bool,
    /// Draw accuracy against time to an SVG image
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one JSON object per network
    #[arg(short, long)]
    pub(crate) json: bool,
}
