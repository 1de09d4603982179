//! The program `mobilenet`.

use std::process::ExitCode;

use clap::Parser;
use mobilenet_cli::{Command, exit_code, run};

/// MobileNetV1: classify photos, convert weights, train.
///
/// Weights (W) are a file or folder in any supported format, recognised by content; or a known name
/// (see `weights --list`) or hf:OWNER/REPO, fetched on first use and kept in the cache.
#[derive(Debug, Parser)]
#[command(name = "mobilenet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    exit_code(run(&Cli::parse().command))
}
