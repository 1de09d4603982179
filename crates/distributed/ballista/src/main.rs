//! Photos in Parquet classified by SQL on many machines: a scheduler, executors and clients of a
//! Ballista cluster, which all know the function `classify`. Ballista's own programs do not: a plan
//! names a function, and each process must have it.

mod arguments;
mod classify;
mod client;
mod cluster;
mod photos;

use anyhow::{Result, anyhow};
use arguments::{Arguments, Role};
use clap::Parser;
use log::{LevelFilter, Log, Metadata, Record};

/// Log lines to standard error.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    log::set_max_level(match arguments.verbose {
        true => LevelFilter::Info,
        false => LevelFilter::Warn,
    });
    log::set_logger(&Lines).map_err(|error| anyhow!("{error}"))?;
    match arguments.role {
        Role::Scheduler(scheduler) => cluster::schedule(scheduler).await,
        Role::Executor(executor) => cluster::execute(executor).await,
        Role::Client(client) => client::run(client).await,
    }
}
