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
//! | `packed` | weights in the order in which kernels read them |
//! | `map` | where an activation lies in the arena, and the zeros around it |
//! | `build` | layers and an input size -> steps |
//! | `step` | the steps, and those that are no convolution |
//! | `convolution`, `separable`, `matrix` | what one thread does in a convolution |
//! | `program` | arena, team, and the loop over steps |
//! | `input` | images of several layouts -> the first map |

mod build;
mod convolution;
mod input;
mod map;
mod matrix;
mod packed;
mod program;
mod separable;
mod step;

pub use input::{ImageLayout, Images, Normalization};
pub use packed::{Head, Layer, LayerKind, PackedNetwork};
pub use program::{Output, Pooling, Program, ProgramConfig};
