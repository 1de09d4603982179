//! Arguments of `cargo xtask`: the everyday commands and the commands of this repository. The
//! latter run in the package `mobilenet-benches`, as does everything on candle, so that a user who
//! only classifies photos need not compile them. Both programs parse their arguments with this
//! crate.

use clap::{Args, Parser, Subcommand, ValueEnum};
use mobilenet_cli::{Precision, WeightType, side, threads, width};

/// MobileNetV1 in Rust.
///
/// Weights (W) are a file or folder in any supported format, recognised by content; or a known name
/// (see `weights --list`) or hf:OWNER/REPO, fetched on first use and kept in the cache.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version = mobilenet_cli::version(),
    max_term_width = 100
)]
pub struct Cli {
    /// What all commands take.
    #[command(flatten)]
    pub common: mobilenet_cli::Common,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A command of the program `mobilenet`.
    #[command(flatten)]
    Everyday(mobilenet_cli::Command),
    /// A command of this repository.
    #[command(flatten)]
    Repository(Repository),
}

/// Commands of this repository.
#[derive(Debug, Subcommand)]
pub enum Repository {
    /// Measure the network's speed
    Bench(Bench),
    /// Compare with other engines and write docs/benchmarks/
    Report(Report),
    /// Rewrite the generated tables in docs/
    Docs(Docs),
    /// Check the project's own invariants
    Tidy,
}

/// The engine that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchEngine {
    /// The inference plan: batch norm folded, weights packed, no candle
    Plan,
    /// Our layers on candle, one after another
    Eager,
    /// The baseline: the same network from candle_nn's layers
    Candle,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Width multiplier
    #[arg(long, default_value_t = 1.0, value_parser = width)]
    pub width: f64,
    /// Image side
    #[arg(long, value_name = "PIXELS", default_value_t = 224, value_parser = side())]
    pub resolution: u64,
    /// Images per run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub batch: u64,
    /// Number of threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads())]
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
    /// Print one JSON object per engine
    #[arg(long)]
    pub json: bool,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportPart {
    /// Inference, compared with all engines
    Inference,
    /// Training steps, compared with PyTorch
    Training,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Measure nothing; fail if tables or plots differ from the stored results
    #[arg(long)]
    pub check: bool,
    /// Measure only this part; keep the stored results of the other [default: both]
    #[arg(long, value_enum, conflicts_with = "check")]
    pub part: Option<ReportPart>,
    /// Measure nothing; rewrite tables and plots from the stored results
    #[arg(long, conflicts_with = "check")]
    pub redraw: bool,
}

/// Arguments of `docs`.
#[derive(Debug, Args)]
pub struct Docs {
    /// Write nothing; fail if a file is out of date
    #[arg(long)]
    pub check: bool,
}
