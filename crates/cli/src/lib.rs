//! The everyday commands: photos to names, weights of any framework to ours, training, evaluation.
//! The program `mobilenet` offers them alone; `cargo xtask` adds those of this repository.

pub mod args;
mod commands;
mod output;
mod progress;
mod table;
mod threads;
mod values;

use std::process::ExitCode;

use anyhow::Result;

pub use args::{Command, Precision, WeightType};
pub use output::{json, line};
pub use table::{grouped, markdown};
pub use values::{side, threads, width};

/// Runs a command.
///
/// # Errors
/// Whatever it fails with; what it has printed by then counts.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Classify(arguments) => commands::classify::run(arguments),
        Command::Predict(arguments) => commands::predict::run(arguments),
        Command::Convert(arguments) => commands::convert::run(arguments),
        Command::Inspect(arguments) => commands::inspect::run(arguments),
        Command::Weights(arguments) => commands::weights::run(arguments),
        Command::Train(arguments) => commands::train::run(arguments),
        Command::Eval(arguments) => commands::eval::run(arguments),
    }
}

/// The exit code of a program: 0 done, 1 failed, with the reason on standard error. Wrong usage, 2,
/// is found before.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
