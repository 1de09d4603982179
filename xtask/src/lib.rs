//! The words of `cargo xtask`: the everyday commands, and those of this repository. The latter, and
//! the network on candle, are in the package `mobilenet-benches`, so that nobody who names a photo
//! has to compile them; both programs parse their arguments by what is here.

use clap::{Args, Parser, Subcommand, ValueEnum};
use mobilenet_cli::{Precision, WeightType, side, threads, width};

/// MobileNetV1 in Rust.
///
/// Weights (W) are a file or folder in any format that is read, recognised by content; a known
/// name (see `weights --list`), fetched on first use and kept in the cache; or hf:OWNER/REPO.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Those of the program `mobilenet`.
    #[command(flatten)]
    Everyday(mobilenet_cli::Command),
    /// Those of this repository.
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
    /// Write the generated tables in docs/ anew
    Docs(Docs),
    /// Check the project's own invariants
    Tidy,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchEngine {
    /// Folded, packed and planned, without candle
    Plan,
    /// Our layers on candle, one after the other
    Eager,
    /// The same network from candle_nn's layers, the baseline
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
    /// Images a run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub batch: u64,
    /// Number of threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads())]
    pub threads: u64,
    /// What is measured; several alternate run by run [default: plan]
    #[arg(long, value_enum)]
    pub engine: Vec<BenchEngine>,
    /// Numbers of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
    /// How the plan keeps weights in memory; several alternate run by run [default: f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub weight_type: Vec<WeightType>,
    /// Measured runs
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: u64,
    /// One JSON object an engine on standard output
    #[arg(long)]
    pub json: bool,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportPart {
    /// Inference, against all engines
    Inference,
    /// Training steps, against PyTorch
    Training,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Measure nothing; fail where tables or plots are not what the stored results say
    #[arg(long)]
    pub check: bool,
    /// Measure only this part, keep the other's stored results
    #[arg(long, value_enum, conflicts_with = "check")]
    pub part: Option<ReportPart>,
    /// Measure nothing; write tables and plots anew from the stored results
    #[arg(long, conflicts_with = "check")]
    pub redraw: bool,
}

/// Arguments of `docs`.
#[derive(Debug, Args)]
pub struct Docs {
    /// Write nothing; fail where a file is not what would be written
    #[arg(long)]
    pub check: bool,
}
