//! Layers: parameters from a `VarBuilder`, and `forward_t(xs, train)`.

mod batch_norm;
mod conv2d;
mod normalizer;
mod separable;

pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use separable::{SeparableConv2d, SeparableConv2dConfig};
