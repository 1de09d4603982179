//! The everyday commands: classify photos, convert weights of any framework, train, evaluate. The
//! program `mobilenet` has these alone; `cargo xtask` adds the commands of this repository.

pub mod args;
mod commands;
mod csv;
mod failure;
mod manifest;
mod output;
mod photo_sources;
mod pictures;
mod progress;
mod ranks;
mod table;
mod threads;
mod values;
mod version;

use anyhow::Result;

use args::Task;
pub use args::{Bench, BenchEngine, Cli, Command, Common, Precision, WeightType};
pub use commands::{bench, detector_file, load};
pub use failure::exit_code;
pub use output::{json, line};
pub use table::{grouped, markdown};
pub use values::{Size, side, threads, width};
pub use version::version;

/// Runs a command.
///
/// # Errors
/// Whatever the command fails with. Output printed before the failure stays valid.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Classify(arguments) => commands::classify::run(arguments),
        Command::Detect(arguments) => commands::detect::run(arguments),
        Command::Predict(arguments) => commands::predict::run(arguments),
        Command::Convert(arguments) => commands::convert::run(arguments),
        Command::Quantize(arguments) => commands::quantize::run(arguments),
        Command::Inspect(arguments) => commands::inspect::run(arguments),
        Command::Weights(arguments) => commands::weights::run(arguments),
        Command::Train(arguments) => match arguments.task {
            Task::Detection => commands::train_detector::run(arguments),
            _ => commands::train::run(arguments),
        },
        Command::Eval(arguments) => match arguments.task {
            Task::Classification => commands::eval::run(arguments),
            Task::Detection => commands::eval_detector::run(arguments),
            Task::MultiLabel | Task::Embedding => commands::eval_head::run(arguments),
            Task::Places => commands::eval_places::run(arguments),
        },
        Command::Bench(arguments) => commands::bench::run(arguments),
        Command::Choose(arguments) => commands::choose::run(arguments),
        Command::Completions(arguments) => commands::completions::completions(arguments),
        Command::Manual(arguments) => commands::completions::manual(arguments),
        Command::Features(arguments) => commands::features::run(arguments),
        Command::Search(arguments) => commands::search::run(arguments),
        Command::Duplicates(arguments) => commands::duplicates::run(arguments),
        Command::Knn(arguments) => commands::knn::run(arguments),
        Command::Merge(arguments) => commands::merge::run(arguments),
    }
}
