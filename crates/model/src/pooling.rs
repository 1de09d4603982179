//! Which part of the last map the classifier sees: the rule that inference, training and the network
//! on candle share.

use mobilenet_kernels::inference::Pooling;

use crate::error::ModelError;

/// slim's pool: a window of 7x7 or, on a smaller map, all of it.
pub(crate) const POOL_WINDOW: usize = 7;
/// Stride of the pool's windows.
pub(crate) const POOL_STRIDE: usize = 2;

/// How a last map of so many rows and columns becomes one pixel.
///
/// # Errors
/// Where the windows give more than one.
pub(crate) fn pooling(global_pool: bool, map: [usize; 2]) -> Result<Pooling, ModelError> {
    if global_pool {
        return Ok(Pooling::Global);
    }
    let [height, width] = map.map(|side| (side - side.min(POOL_WINDOW)) / POOL_STRIDE + 1);
    if height > 1 || width > 1 {
        return Err(ModelError::NotSqueezable { height, width });
    }
    Ok(Pooling::Window([POOL_WINDOW; 2]))
}
