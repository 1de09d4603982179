//! A whole network of 8-bit integers.

mod check;
mod network;

pub use network::{
    Arithmetic, IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType, Integers, Quantized,
    QuantizedConvolution, QuantizedWeights, ValueKind,
};
