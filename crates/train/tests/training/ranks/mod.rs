//! Training by several ranks, as threads of one process.

mod case;
mod detection;
mod failures;
mod heads;
mod same_files;
mod servers;
mod shards;
