//! A network in training as one program: the forward pass, the statistics, and the backward pass.
//!
//! `z` is a layer's output before normalisation, `a` its activation after it. `X` is the layer's
//! input and `W` its weights; `dz`, `dX` and `dW` are gradients.
//!
//! ```text
//! forward  for each layer:  z = conv(a of the layer before),  statistics of z,  a = clamp(norm(z))
//! backward for each layer:  dz from the gradient of a,  dX,  dW
//! ```
//!
//! Training a separable network is bound by memory as much as by arithmetic. So there are few
//! passes over maps:
//!
//! * Of a layer, only `z` is kept. Whoever reads `a = clamp(z * scale + shift)` computes it again,
//!   in the cache.
//! * A convolution computes the statistics of the block of pixels that it has just written.
//! * The gradient of batch normalisation needs two sums. The layer that computes the incoming
//!   gradient computes them too, block by block, and takes the gradient through the activation. The
//!   next layer can then turn the gradient into `dz` while it loads it.
//! * Two buffers hold the gradients of all maps, in turn.
//! * One buffer holds the packed weights of the layer that is computed (`packing`).
//!
//! A full convolution is a product of patches, which are gathered block by block: forward those of
//! the input, and for the gradient of the input those of `dz`.
//!
//! Other networks may read the activations of any layers ([`Pass::activation`]), and send back their
//! gradients ([`Pass::backward_from`]), which are added where the layer's own gradient is.
//!
//! With fake quantisation ([`FakeQuantization`]), as TensorFlow's `create_training_graph` does it, a
//! layer is two convolutions of its input:
//!
//! ```text
//! y = conv(a of the layer before, rounded weights)          a = round(clamp(y * scale + shift))
//! z = conv(a of the layer before, weights as they are)      only its statistics are used
//! ```
//!
//! * Where the first layer or a pointwise one has many pixels, the statistics of `z` come from the
//!   covariance of its input instead (`covariance`).
//! * Where the processor multiplies bytes fast, a pointwise layer's `y` is computed in integers
//!   (`byte_product`), and otherwise `y` and `z` in one product with twice the columns.
//! * Where both are computed, weights get one gradient through both (`rounded_weights`).
//! * A depthwise layer computes both, and `z` again in its backward pass.
//!
//! Weights are rounded after batch normalisation is folded into them with the running variance;
//! `scale` corrects that to the batch's variance. That is done where they are packed (`layer_weights`);
//! rounded ones are not kept. A layer with fixed statistics needs no `z`.
//!
//! Each thread has a fixed share of every layer, and the sums of the threads are added in order. So
//! the same number of threads gives the same bits.

mod activation_range;
mod batch;
mod byte_product;
mod byte_weights;
mod context;
mod covariance;
mod depthwise;
mod head;
mod input_gradient;
mod layer_weights;
mod matrix;
mod network;
mod offsets;
mod packing;
mod pass;
mod patches;
mod planned_covariance;
mod planned_layer;
mod planned_network;
mod planned_weights;
mod program;
mod ranges;
mod rounded_biases;
mod rounded_weights;
mod source;
mod statistics;

pub use network::{
    FakeQuantization, MapGradient, TrainingHead, TrainingLayer, TrainingNetwork, TrainingOptions,
};
pub use pass::Pass;
pub use program::TrainingProgram;
pub use ranges::{MovingRanges, debiased};
