//! Arguments of `bench`.

use clap::{Args, ValueEnum};

use super::engine::{Precision, WeightType};
use crate::values::{Size, size, threads, width};

/// The engine that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchEngine {
    /// The inference plan: batch norm folded, weights packed, no candle
    Plan,
    /// Our layers on candle, one after another (only `cargo xtask bench`)
    Eager,
    /// The baseline: the same network from candle_nn's layers (only `cargo xtask bench`)
    Candle,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Width multiplier
    #[arg(long, default_value_t = 1.0, value_parser = width)]
    pub width: f64,
    /// Image side, or rows and columns
    #[arg(long, value_name = "PIXELS|ROWSxCOLUMNS", default_value = "224", value_parser = size)]
    pub resolution: Size,
    /// Images per run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub batch: u64,
    /// Number of threads
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = threads())]
    pub threads: u64,
    /// Engine to measure; may be repeated, engines then take turns [default: plan]
    #[arg(long, value_enum)]
    pub engine: Vec<BenchEngine>,
    /// Number type of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
    /// Number type of the plan's weights in memory; may be repeated [default: f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub weight_type: Vec<WeightType>,
    /// Number of measured runs
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: u64,
    /// Milliseconds of rest before each run, as between the frames of a camera
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub pause: u64,
    /// Print one JSON object per engine
    #[arg(short, long)]
    pub json: bool,
}
