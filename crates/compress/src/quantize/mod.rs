//! Post-training quantisation: f32 weights and some photos -> a network of 8-bit integers.
//!
//! ```text
//! checkpoint -> float_network  batch norm folded; layer: as f32 kernels take one
//! photos     -> input_rule     the first integers
//!               statistics     the float network: ranges of activations, means of what weights see
//!               range          range -> scale and zero point
//!               weights        weights -> integers, per channel or per tensor
//!               equalization   moves scale from channel to channel, where one scale has to serve all
//!               rounding       to the side on which the errors of a filter cancel; patches: samples
//!                              of what filters read
//!               batch          the integers of all photos, after one layer and the next
//!            -> post_training  layer by layer: weights, then the bias, corrected so that the
//!                              layer's sums have the float network's mean
//! network    -> comparison     with the float network, on other photos
//! ```

mod batch;
mod comparison;
mod equalization;
pub(crate) mod float_network;
mod input_rule;
pub(crate) mod layer;
mod options;
pub(crate) mod patches;
mod post_training;
mod range;
pub(crate) mod rounding;
pub(crate) mod statistics;
mod weights;

pub use comparison::{Comparison, LayerNoise};
pub use options::{QuantizeOptions, RangeMethod, Scheme};
pub use post_training::{Quantization, quantize};
