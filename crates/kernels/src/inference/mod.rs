//! A whole network of convolutions as a program: weights packed once, activations in one arena,
//! work split over a team of threads, nothing allocated while it runs.
//!
//! ```text
//! Layers (weights, folded) -> PackedWeights (shared by all programs, Arc)
//! PackedWeights + ProgramConfig (input size, outputs, threads) -> Program -> run(input, output)
//! ```
//!
//! A file uses only those above it:
//!
//! | file | what |
//! |---|---|
//! | `feature_map` | where an activation lies in the arena, and the zeros around it |
//! | `input` | images of several layouts -> the first map |
//! | `packed`, `strassen`'s weights, `packer` | weights in the order in which kernels read them |
//! | `frames` | 8-bit images: their normalisation folded into the first convolution |
//! | `config` | what a program is built for |
//! | `context` | what a thread sees while an image goes through the operations |
//! | `matrix`, `strassen` | a product over many pixels; the same by 7 products in place of 8 |
//! | `convolution`, `depthwise`, `separable` | what one thread does in a convolution |
//! | `operation`, `execute` | all operations, and the loop over them |
//! | `arena` | what lies where, and when |
//! | `sized`, `schedule` | layers and an input size -> operations |
//! | `program` | arenas, team, and who runs which image |

mod arena;
mod config;
mod context;
mod convolution;
mod depthwise;
mod execute;
mod feature_map;
mod frames;
mod input;
mod matrix;
mod operation;
mod packed;
mod packer;
mod program;
mod schedule;
mod separable;
mod sized;
mod strassen;

pub use crate::network::{ConvKind, Pooling};
pub use crate::simd::WeightType;
pub use config::{Output, ProgramConfig};
pub use frames::Normalization;
pub use input::{ImageLayout, Images};
pub use packed::{HeadWeights, LayerShape, LayerWeights, PackedWeights};
pub use packer::Packer;
pub use program::Program;
