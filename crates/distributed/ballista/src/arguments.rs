//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Classifies photos in Parquet files on many machines, with Ballista.
#[derive(Parser)]
#[command(name = "mobilenet-ballista", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) role: Role,
    /// Tell more than warnings.
    #[arg(long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Subcommand)]
pub(crate) enum Role {
    /// Shares queries out among executors.
    Scheduler(Scheduler),
    /// Computes parts of queries.
    Executor(Executor),
    /// Runs a query, and writes its result as a Parquet file.
    Client(Client),
}

#[derive(Args)]
pub(crate) struct Scheduler {
    /// Address to listen at. Nobody is asked who they are: it must be in a network that is trusted.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    #[arg(long, default_value_t = 50050)]
    pub(crate) port: u16,
    /// Seconds without a word after which an executor is lost, and its parts are computed by others.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(2..))]
    pub(crate) executor_timeout: u64,
}

#[derive(Args)]
pub(crate) struct Executor {
    /// File or folder with weights, in any format that `mobilenet classify` reads.
    #[arg(long, short)]
    pub(crate) weights: PathBuf,
    /// The scheduler.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) scheduler: String,
    #[arg(long, default_value_t = 50050)]
    pub(crate) scheduler_port: u16,
    /// Address to listen at, for other executors, clients and the scheduler.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Port for results.
    #[arg(long, default_value_t = 50051)]
    pub(crate) port: u16,
    /// Port for the scheduler's orders.
    #[arg(long, default_value_t = 50052)]
    pub(crate) orders_port: u16,
    /// Parts that are computed at a time, each on a core of its own. By default, all cores.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) tasks: Option<u16>,
    /// Seconds between words to the scheduler. Must be far below its `--executor-timeout`.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) heartbeat: u64,
    /// Folder for results that were not yet fetched. By default, a temporary one.
    #[arg(long)]
    pub(crate) work_dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Client {
    /// A Parquet file, or a folder of them, with a column `photo` or `path`, and `bytes` or `image` with
    /// the photos. All machines must find it at the same place.
    #[arg(long)]
    pub(crate) photos: PathBuf,
    /// Parquet file to write. If it is there already, nothing is done.
    #[arg(long, short)]
    pub(crate) out: PathBuf,
    /// The scheduler.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) scheduler: String,
    #[arg(long, default_value_t = 50050)]
    pub(crate) scheduler_port: u16,
    /// Most parts of the query.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parts: u16,
    /// SQL on the table `photos` instead of the names of all photos, such as
    /// "SELECT classify(image)['label'], count(*) FROM photos GROUP BY 1".
    #[arg(long)]
    pub(crate) sql: Option<String>,
}
