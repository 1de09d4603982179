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
    /// The file's own 8-bit integers, which must be a quantised TFLite file's
    Int8,
}

impl Precision {
    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

/// How sums of 8-bit integers are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arithmetic {
    /// As LiteRT's default interpreter, ONNX Runtime and PyTorch's qnnpack do, in f32
    Xnnpack,
    /// As TFLite's reference kernels and TFLite Micro do, in fixed point
    Reference,
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
