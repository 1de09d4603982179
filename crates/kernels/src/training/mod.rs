//! A network in training as one program: forward, backward, and the statistics between.
//!
//! ```text
//! forward   for each layer:  z = conv(a of the layer before),  statistics of z,  a = clamp(norm(z))
//! backward  for each layer:  dz from the gradient of a,  dX,  dW
//! ```
//!
//! Training a separable network is bound by memory as much as by arithmetic, so the passes over
//! maps are few:
//!
//! * Only `z` is kept of a layer. `a = clamp(z * scale + shift)` is made again, in the cache, by
//!   whoever reads it.
//! * A convolution takes the statistics of the block of pixels that it has just written.
//! * The two sums that batch normalisation's gradient needs are taken by the layer that makes the
//!   incoming gradient, block by block, together with the activation's gate. The next layer can
//!   then turn a gradient into `dz` while it loads it.
//! * Two buffers hold all gradients of maps in turn.
//!
//! Threads have fixed shares of every layer, and their sums are added in order: the same number of
//! threads gives the same bits.

mod batch;
mod context;
mod depthwise;
mod head;
mod matrix;
mod network;
mod offsets;
mod pass;
mod planned_layer;
mod planned_network;
mod program;
mod source;
mod statistics;

pub use network::{TrainingHead, TrainingLayer, TrainingNetwork, TrainingOptions};
pub use pass::Pass;
pub use program::TrainingProgram;
