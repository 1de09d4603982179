//! Training by several ranks, as threads of one process.

#[path = "../support/mod.rs"]
mod support;

mod detection;
mod heads;
mod ranks;
mod shards;
