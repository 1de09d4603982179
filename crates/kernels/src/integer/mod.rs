//! A whole network of 8-bit integers as a program, to the bits of LiteRT. Weights are packed once,
//! activations share one arena, a team of threads divides the work, and nothing is allocated while
//! it runs.
//!
//! ```text
//! IntegerNetwork (plain data) + Arithmetic -> PackedIntegers (shared by all programs, Arc)
//! PackedIntegers + IntegerProgramConfig (size, outputs, threads) -> IntegerProgram -> run
//! ```
//!
//! Activations are kept as unsigned bytes: a signed integer plus 128. Zero points cost nothing
//! inside: those of the weights are subtracted when they are packed, those of the input are part of
//! what sums begin with, and borders hold them. A file of this folder uses only those above it:
//!
//! | file | content |
//! |---|---|
//! | `network` | the description of a network |
//! | `check` | its checks, and the shapes of its outputs |
//! | `rounding`, `softmax`, `tables` | the arithmetic of the frameworks, to the last bit |
//! | `weights` | the weights of one output channel |
//! | `constant` | channels that are the same in every image, and are left out |
//! | `packed`, `pack`, `pack_matrix` | weights in the order in which kernels read them |
//! | `branches` | layers beside the chain, which read one in its middle |
//! | `map` | where an activation is in the arena, and its border |
//! | `quantizer` | numbers to bytes |
//! | `images` | what goes in and comes out |
//! | `context` | what a thread needs while an image goes through the steps |
//! | `depthwise`, `convolution` | what one thread does in a convolution |
//! | `step` | all steps |
//! | `schedule` | layers and an image size -> steps |
//! | `program` | arenas, the team, and which thread computes which image |

mod average;
mod branches;
mod check;
mod constant;
mod context;
mod convolution;
mod depthwise;
mod images;
mod map;
mod network;
mod pack;
mod pack_depthwise;
mod pack_matrix;
mod packed;
mod program;
mod quantizer;
mod rounding;
mod schedule;
mod softmax;
mod step;
mod tables;
mod weights;

pub use images::{IntegerImages, IntegerOutput};
pub use network::{
    Arithmetic, IntegerBranch, IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType,
    Integers, Quantized, QuantizedConvolution, QuantizedWeights, ValueKind,
};
pub use packed::PackedIntegers;
pub use program::{IntegerProgram, IntegerProgramConfig};
pub use tables::{joined, sigmoid};
