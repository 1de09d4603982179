//! `cargo xtask COMMAND`: the command line of the project. Exit codes: 0 success, 1 failure, 2
//! wrong usage.

mod forward;
mod web;

use std::process::ExitCode;

use clap::Parser;
use xtask::{Cli, Command, Repository};

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.common.apply();
    match cli.command {
        Command::Everyday(command) if !command.needs_candle() => {
            mobilenet_cli::exit_code(mobilenet_cli::run(&command))
        }
        Command::Repository(Repository::Web(arguments)) => {
            mobilenet_cli::exit_code(web::run(&arguments))
        }
        Command::Everyday(_) | Command::Repository(_) => forward::to_benches(),
    }
}
