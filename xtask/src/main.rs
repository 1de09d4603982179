//! `cargo xtask COMMAND`: the command line of the project. Exit codes: 0 success, 1 failure, 2
//! wrong usage.

mod forward;

use std::process::ExitCode;

use clap::Parser;
use xtask::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.common.apply();
    match cli.command {
        Command::Everyday(command) if !command.needs_candle() => {
            mobilenet_cli::exit_code(mobilenet_cli::run(&command))
        }
        Command::Everyday(_) | Command::Repository(_) => forward::to_benches(),
    }
}
