//! Weights made small: few distinct values for each layer, whose symbols a file holds deflated.
//!
//! ```text
//! checkpoint -> layer_bits  how finely each layer is rounded: large ones more coarsely
//!            -> codebook    scales and levels: integers, or a palette (k_means)
//! photos     -> network     layer by layer: symbols, whose errors cancel on the photos
//!                           (`quantize/rounding`), and a bias that takes the rest back
//!            -> coded tensors, and the same network in f32
//! training   -> shared      the same of all weights at once, before each forward pass
//! ```
//!
//! Pointwise layers and the classifier have 98 % of the weights, and only they are coded. Others, and
//! biases, are rounded to f16: errors in a depthwise layer cost more than its weights take.

mod codebook;
mod k_means;
mod layer_bits;
mod network;
mod options;
mod shared;

pub use network::{Compressed, compress};
pub use options::{CompressOptions, Method};
pub use shared::SharedWeights;
