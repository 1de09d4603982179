//! A whole network of convolutions as a program: weights packed once, activations in one arena,
//! work split over a team of threads, nothing allocated while it runs.
//!
//! ```text
//! Layers (weights, folded) -> PackedNetwork (shared by all programs, Arc)
//! PackedNetwork + input size + threads -> Program -> run(input, output)
//! ```
//!
//! | file | what |
//! |---|---|
//! | `packed`, `packer` | weights in the order in which kernels read them |
//! | `map` | where an activation lies in the arena, and the zeros around it |
//! | `build` | layers and an input size -> steps |
//! | `step` | the steps, and those that are no convolution |
//! | `convolution`, `depthwise`, `separable`, `matrix` | what one thread does in a convolution |
//! | `strassen` | the matrix product of large layers, by 7 products in place of 8 |
//! | `run` | what a thread sees of a run, and the loop over steps |
//! | `program` | arenas, team, and who runs which image |
//! | `input` | images of several layouts -> the first map |
//! | `frames` | 8-bit images: their normalisation folded into the first convolution |

mod build;
mod convolution;
mod depthwise;
mod frames;
mod input;
mod map;
mod matrix;
mod packed;
mod packer;
mod program;
mod run;
mod separable;
mod step;
mod strassen;

pub use crate::network::{LayerKind, Pooling};
pub use crate::simd::WeightType;
pub use frames::Normalization;
pub use input::{ImageLayout, Images};
pub use packed::{Head, Layer, LayerShape, PackedNetwork};
pub use packer::Packer;
pub use program::{Output, Program, ProgramConfig};
