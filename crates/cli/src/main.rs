//! The program `mobilenet`.

use std::process::ExitCode;

use clap::Parser;
use mobilenet_cli::{Command, exit_code, run};

/// MobileNetV1: classify photos, convert weights, train.
///
/// Weights (W) are a file or folder in any format that is read, recognised by content; a known
/// name (see `weights --list`), fetched on first use and kept in the cache; or hf:OWNER/REPO.
#[derive(Debug, Parser)]
#[command(name = "mobilenet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    exit_code(run(&Cli::parse().command))
}
