//! Separable convolution for candle: functions on tensors, and layers that use them.
//!
//! Every function takes and returns tensors in candle's convention, `[batch, channels, height,
//! width]`. In memory, results are channels-last: a view, by `permute`, of contiguous `[batch,
//! height, width, channels]`. So a chain of these ops never copies data to change the layout.
//! Inputs with other strides are copied once.
//!
//! On the CPU and in f32, `mobilenet-kernels` does the work. On other devices and in other dtypes,
//! the same function is composed of candle's ops (`fallback`), which are differentiable. The
//! kernels have their own gradients, computed only for arguments that need them. Results are
//! bit-identical for any number of threads.

pub mod fallback;
pub mod functional;
pub mod layers;
mod layout;

pub use functional::{
    BatchNormOutput, activate, avg_pool2d, batch_norm, conv2d, depthwise_conv2d, global_avg_pool2d,
    max_pool2d, pointwise_conv2d, relu6, scale_shift, softmax_cross_entropy,
};
pub use layers::{BatchNorm, Conv2d, SeparableConv2d, SeparableConv2dConfig};
pub use mobilenet_kernels::{
    Activation, BatchNormConfig, ConvGeometry, ConvSize, Normalizer, Padding,
};
