//! The pooling before the classifier, for inference, training and the network on candle.

use mobilenet_kernels::inference::Pooling;

use crate::error::ModelError;

/// Side of slim's pooling window. On a smaller map, the window is the whole map.
pub const POOL_WINDOW: usize = 7;
/// Stride of the windows.
pub const POOL_STRIDE: usize = 2;

/// How a last feature map of this size is pooled to one pixel.
///
/// # Errors
/// If there is more than one window.
pub fn pooling(global_pool: bool, map: [usize; 2]) -> Result<Pooling, ModelError> {
    if global_pool {
        return Ok(Pooling::Global);
    }
    let [height, width] = map.map(|side| (side - side.min(POOL_WINDOW)) / POOL_STRIDE + 1);
    if height > 1 || width > 1 {
        return Err(ModelError::NotSqueezable { height, width });
    }
    Ok(Pooling::Window([POOL_WINDOW; 2]))
}
