//! CPU kernels of separable convolutional networks, on plain `f32` slices.
//!
//! Activations are NHWC (`[batch, height, width, channels]`, channels contiguous), so a vector
//! holds neighbouring channels. A depthwise tap is then one multiply-add per vector, and a
//! pointwise convolution is a matrix product of all pixels with the weights.
//!
//! | module | operation |
//! |---|---|
//! | [`geometry`] | kernel size, stride, dilation, padding -> output size and valid ranges |
//! | [`mod@conv`] | full convolution, used for the stem |
//! | [`mod@depthwise`] | one filter (or `multiplier` filters) per channel |
//! | [`mod@pointwise`] | 1x1 convolution as a matrix product |
//! | [`batch_norm`] | inference form as scale and shift, and folding into weights |
//! | [`activation`] | ReLU and ReLU6 |
//! | [`mod@logistic`] | the logistic function |
//! | [`pool`] | average pooling |
//! | [`fake_quantization`] | rounding to the values of an 8-bit integer, and its gradient |
//! | [`backward`] | gradients of all these |
//! | [`inference`] | a whole network as a program: packed weights, one arena, a team of threads |
//! | [`integer`] | a whole network of 8-bit integers, as a program |
//! | [`training`] | a whole network in training: forward, backward, batch statistics |
//! | [`simd`] | the instruction sets, chosen at run time |
//! | [`mod@reference`] | the naive specification that every kernel is tested against |
//!
//! The single kernels run on the current rayon pool; `ThreadPool::install` chooses the number of
//! threads. A program of [`inference`] or [`training`] has its own threads.
//!
//! Without the feature `training`, there are only the programs of inference.

#![cfg_attr(
    not(feature = "training"),
    allow(dead_code, reason = "training uses the rest")
)]

#[cfg(feature = "training")]
pub mod activation;
#[cfg(feature = "training")]
pub mod backward;
#[cfg(feature = "training")]
pub mod batch_norm;
#[cfg(feature = "training")]
pub mod conv;
#[cfg(feature = "training")]
pub mod depthwise;
mod error;
#[cfg(feature = "training")]
pub mod fake_quantization;
pub mod geometry;
#[allow(unsafe_code, reason = "threads share an arena through pointers")]
pub mod inference;
#[allow(unsafe_code, reason = "threads share an arena through pointers")]
pub mod integer;
#[cfg(feature = "training")]
#[allow(
    unsafe_code,
    reason = "threads share maps and scratch through pointers"
)]
mod layer;
pub mod logistic;
mod network;
#[cfg(feature = "training")]
mod normalizer;
mod panels;
mod partition;
#[cfg(feature = "training")]
pub mod pointwise;
#[cfg(feature = "training")]
pub mod pool;
pub mod reference;
#[allow(unsafe_code, reason = "intrinsics, and memory shared by threads")]
pub mod simd;
#[cfg(feature = "training")]
#[allow(unsafe_code, reason = "threads share an arena through pointers")]
pub mod training;

pub use error::KernelError;
pub use geometry::{Axis, ConvGeometry, ConvSize, Padding};
#[cfg(feature = "training")]
pub use layer::slices::Epilogue;
pub use logistic::logistic;
pub use network::{Activation, ConvKind, Pooling};
#[cfg(feature = "training")]
pub use normalizer::{BatchNormConfig, Normalizer};
