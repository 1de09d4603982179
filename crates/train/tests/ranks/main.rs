//! Training by several ranks, as threads of one process.

#[path = "../support/mod.rs"]
mod support;

mod heads;
mod ranks;
mod shards;
