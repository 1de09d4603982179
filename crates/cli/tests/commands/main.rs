//! The program, command by command. One test program, because linking eighteen takes longer than
//! running them.

#[path = "../support/mod.rs"]
mod support;

mod choose;
mod classify;
mod compress;
mod convert;
mod convert_graphs;
mod detect;
mod detection;
mod eval;
mod features;
mod heads;
mod integers;
mod interruptions;
mod output;
mod parquet;
mod parts;
mod program;
mod quantize;
mod train;
mod training_runs;
