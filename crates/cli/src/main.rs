//! The program `mobilenet`.

use std::process::ExitCode;

use clap::Parser;
use mobilenet_cli::{Cli, exit_code, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.common.apply();
    exit_code(run(&cli.command))
}
