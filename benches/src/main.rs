//! The commands that `cargo xtask` runs in this package: benchmarks, the comparison with other
//! engines, generated documents, the check of invariants, and the everyday commands on candle.

mod commands;

use std::process::ExitCode;

use clap::Parser;
use commands::{bench, docs, paper, report, tidy};
use mobilenet_cli::Command as Everyday;
use xtask::{Cli, Command, Repository};

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.common.apply();
    mobilenet_cli::exit_code(match cli.command {
        Command::Everyday(command) => match *command {
            Everyday::Bench(arguments) => bench::run(&arguments),
            command => mobilenet_cli::run(&command),
        },
        Command::Repository(Repository::Report(arguments)) => report::run(&arguments),
        Command::Repository(Repository::Docs(arguments)) => docs::run(&arguments),
        Command::Repository(Repository::Paper(arguments)) => paper::run(&arguments),
        Command::Repository(Repository::Tidy) => tidy::run(),
        // `xtask` runs it itself.
        Command::Repository(Repository::Web(_)) => Ok(()),
    })
}
