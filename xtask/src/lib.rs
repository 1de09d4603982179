//! Arguments of `cargo xtask`: the everyday commands and the commands of this repository. The
//! latter run in the package `mobilenet-benches`, as does everything on candle, so that a user who
//! only classifies photos need not compile them. Both programs parse their arguments with this
//! crate.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    Everyday(Box<mobilenet_cli::Command>),
    /// A command of this repository.
    #[command(flatten)]
    Repository(Repository),
}

/// Commands of this repository.
#[derive(Debug, Subcommand)]
pub enum Repository {
    /// Compare with other engines and write docs/benchmarks/
    Report(Report),
    /// Rewrite the generated tables in docs/
    Docs(Docs),
    /// Recompute the tables of the paper and write docs/paper.md
    Paper(Paper),
    /// Check the project's own invariants
    Tidy,
    /// Build the page and the package for browsers
    Web(Web),
}

/// Arguments of `web`.
#[derive(Debug, Args)]
pub struct Web {
    /// Weights that the page offers, beside the embedded ones, which tell clothes apart; may be given
    /// several times
    #[arg(short, long, value_name = "W")]
    pub weights: Vec<String>,
    /// Number type of the weights in the file; a network of integers stays one
    #[arg(long, value_enum, default_value_t = WebType::F16)]
    pub dtype: WebType,
    /// Folder that is written
    #[arg(short, long, value_name = "DIR", default_value = "target/page")]
    pub out: PathBuf,
    /// Write one file instead, mobilenet.html, which opens from a disk
    #[arg(long)]
    pub single_file: bool,
}

/// The number type of weights for browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WebType {
    /// 32 bits, for comparisons
    F32,
    /// 16 bits
    F16,
    /// 8 bits, with a scale for each channel; sums are f32
    Int8,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportPart {
    /// Inference of single images, compared with all engines; steps of the plan, all sizes
    Inference,
    /// Inference of batches of 8 images, compared with all engines
    Batches,
    /// Inference in 8-bit integers, compared with engines that compute so too
    Integers,
    /// Detectors in f32 and in 8-bit integers, compared with LiteRT and ONNX Runtime
    Detection,
    /// Training steps, compared with PyTorch
    Training,
    /// Inference with pauses between runs, also while another process takes one core
    Busy,
    /// From a photo on disk to names, and from the network's file to the first logits
    FirstAnswer,
}

impl ReportPart {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 7] = [
        Self::Inference,
        Self::Batches,
        Self::Integers,
        Self::Detection,
        Self::Training,
        Self::Busy,
        Self::FirstAnswer,
    ];
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Measure nothing; fail if tables or plots differ from the stored results
    #[arg(long)]
    pub check: bool,
    /// Measure only this part; keep the stored results of the others [default: all]
    #[arg(long, value_enum, conflicts_with = "check")]
    pub part: Option<ReportPart>,
    /// A third of the turns: each part takes at most three minutes
    #[arg(long, conflicts_with = "check", group = "trains")]
    pub quick: bool,
    /// Measure nothing; rewrite tables and plots from the stored results
    #[arg(long, conflicts_with_all = ["check", "part", "quick"])]
    pub redraw: bool,
    /// Python for those peers whose packages it has in the versions of benches/peers/requirements;
    /// the others are installed
    #[arg(long, value_name = "P")]
    pub python: Option<PathBuf>,
    /// Folder that is written or checked [default: docs/benchmarks]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Arguments of `docs`.
#[derive(Debug, Args)]
pub struct Docs {
    /// Write nothing; fail if a file is out of date
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `paper`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("trains").multiple(true))]
pub struct Paper {
    /// Write nothing; fail if the page differs from what the code and the stored results give
    #[arg(long)]
    pub check: bool,
    /// Also answer the paper's questions by training small networks on Fashion-MNIST, for a night;
    /// an interrupted run is continued
    #[arg(long, conflicts_with = "check", group = "trains")]
    pub experiments: bool,
    /// The experiments in a short form, with fewer steps and seeds
    #[arg(long, conflicts_with = "check", group = "trains")]
    pub quick: bool,
    /// Also train on photos: a folder with the twelve kinds of flowers that docs/paper.md names, in train/
    /// and test/
    #[arg(long, value_name = "DIR", requires = "trains")]
    pub photos: Option<PathBuf>,
}
