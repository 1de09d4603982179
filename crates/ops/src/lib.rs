//! Separable convolution for candle: functions on tensors and the layers built from them.
//!
//! Every function takes and returns tensors of candle's convention, `[batch, channels, height,
//! width]`. In memory the results are channels-last: a view, by `permute`, of contiguous
//! `[batch, height, width, channels]`, so that a chain of these ops never moves data to change
//! the layout. Plain contiguous or otherwise strided inputs work as well; they are copied once.
//!
//! On the CPU in f32 the work is done by `mobilenet-kernels`. On other devices and in other
//! dtypes the same function is composed of candle's own ops (`fallback`), which also differentiate.
//! The kernels have gradients of their own, computed only for the arguments that ask for them; the
//! same number of threads, and any other, gives the same bits.

pub mod fallback;
pub mod functional;
pub mod layers;
mod layout;

pub use functional::{
    BatchNormOutput, activate, avg_pool2d, batch_norm, conv2d, depthwise_conv2d, global_avg_pool2d,
    pointwise_conv2d, relu6, scale_shift, softmax_cross_entropy,
};
pub use layers::{BatchNorm, Conv2d, SeparableConv2d, SeparableConv2dConfig};
pub use mobilenet_kernels::{
    Activation, BatchNormConfig, ConvGeometry, ConvSize, Normalizer, Padding,
};
