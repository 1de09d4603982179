//! Functions on tensors, one file per op. Each file has the public function, which chooses between
//! the CPU kernel and the fallback, and the `CustomOp` that calls the kernel.

mod activation;
mod batch_norm;
mod batch_norm_output;
mod conv2d;
mod cross_entropy;
mod depthwise;
pub(crate) mod folded;
mod max_pool;
mod pointwise;
mod pool;
mod scale_shift;

pub use activation::{activate, relu6};
pub use batch_norm::batch_norm;
pub use batch_norm_output::BatchNormOutput;
pub use conv2d::conv2d;
pub use cross_entropy::softmax_cross_entropy;
pub use depthwise::depthwise_conv2d;
pub use max_pool::max_pool2d;
pub use pointwise::pointwise_conv2d;
pub use pool::{avg_pool2d, global_avg_pool2d};
pub use scale_shift::scale_shift;
