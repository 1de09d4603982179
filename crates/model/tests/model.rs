//! The model: networks, checkpoints, integers. One test program, because each would link candle.

#[path = "../../kernels/tests/support/instruction_sets.rs"]
mod instruction_sets;
#[path = "support/small_networks.rs"]
mod small_networks;
mod support;

mod checkpoints;
mod integers;
mod networks;
