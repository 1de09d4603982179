//! What computes, and in which number types.

use clap::ValueEnum;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The inference plan: batch norm folded, weights packed, no candle
    Plan,
    /// Our layers on candle, one after another
    Eager,
}

/// Number type of the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// 32-bit floating point
    F32,
}

/// Number type of the weights in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightType {
    /// 32 bits
    F32,
    /// Half precision, half the memory
    F16,
    /// bfloat16, half the memory
    Bf16,
}
