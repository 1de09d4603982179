//! Gradients of the single kernels, one module per operation. `g` is the gradient of the output.
//!
//! | module | gradients |
//! |---|---|
//! | [`depthwise`] | input and weights |
//! | [`pointwise`] | input and weights, as matrix products |
//! | [`conv`] | input and weights of the full convolution |
//! | [`batch_norm`] | moments of a batch; input, gamma and beta of normalisation and activation |
//! | [`scale_shift`] | input, scale and shift of `activation(x * scale + shift)` |
//! | [`activation`] | input; 0 at and beyond the bounds, as in TensorFlow and PyTorch |
//! | [`pool`] | input of average pools |
//! | [`cross_entropy`] | softmax cross-entropy with label smoothing, and its gradient |
//!
//! Sums over pixels are divided into parts that depend on the sizes alone, and the parts are added
//! in order. So any number of threads gives the same bits. [`mod@crate::reference`] specifies every
//! gradient.

pub mod activation;
pub mod batch_norm;
pub mod conv;
pub mod cross_entropy;
pub mod depthwise;
pub mod pointwise;
pub mod pool;
pub mod scale_shift;
