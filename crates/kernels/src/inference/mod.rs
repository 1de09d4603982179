//! A whole network of convolutions as a program. Weights are packed once, activations share one
//! arena, a team of threads divides the work, and nothing is allocated while it runs.
//!
//! ```text
//! Layers (weights, folded) -> PackedWeights (shared by all programs, Arc)
//! PackedWeights + ProgramConfig (input size, outputs, threads) -> Program -> run(input, output)
//! ```
//!
//! A file of this folder uses only those above it:
//!
//! | file | content |
//! |---|---|
//! | `feature_map` | where an activation is in the arena, and the zeros around it |
//! | `input` | images of several layouts -> the first map |
//! | `packed`, `packable`, `strassen`'s weights, `packer` | weights in the order in which kernels read them |
//! | `frames` | 8-bit images: folds their normalisation into the first convolution |
//! | `config` | what a program is built for |
//! | `context` | what a thread needs while an image goes through the operations |
//! | `matrix`, `strassen` | a product over many pixels; the same with 7 products instead of 8 |
//! | `convolution`, `depthwise`, `separable` | what one thread does in a convolution |
//! | `operation`, `execute` | all operations, and the loop over them |
//! | `arena` | offsets in the arena; what is never needed at the same time shares memory |
//! | `sized`, `schedule` | layers and an input size -> operations |
//! | `program` | arenas, the team, and which thread computes which image |

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
mod pack_columns;
mod packable;
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
pub use packed::{BranchShape, HeadWeights, LayerShape, LayerWeights, PackedWeights};
pub use packer::Packer;
pub use program::Program;
