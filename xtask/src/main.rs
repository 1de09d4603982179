//! `cargo xtask COMMAND`: the command line of the project. Exit code 0 done, 1 failed, 2 wrong
//! usage.

mod cli;
mod commands;
mod output;
mod progress;
mod table;
mod threads;
mod told;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Classify(arguments) => commands::classify::run(&arguments),
        Command::Predict(arguments) => commands::predict::run(&arguments),
        Command::Convert(arguments) => commands::convert::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Weights(arguments) => commands::weights::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Docs(arguments) => commands::docs::run(&arguments),
        Command::Tidy => commands::tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
