//! Max pooling. candle's own has no padding, and no gradient for windows that overlap.

use candle_core::{Error, Result, Tensor};
use mobilenet_kernels::ConvGeometry;

/// The largest value of each window. Padding is below every value. Where several values of a window
/// are largest, they share the gradient.
///
/// It is composed of candle's ops on every device.
///
/// # Shapes
/// `xs` `[B, C, H, W]` -> `[B, C, H', W']` with `H'` and `W'` by [`ConvGeometry::resolve`].
///
/// # Errors
/// If the window does not fit the input.
pub fn max_pool2d(xs: &Tensor, geometry: &ConvGeometry) -> Result<Tensor> {
    let (batch, _, height, width) = xs.dims4()?;
    let size = geometry
        .resolve(batch, height, width)
        .map_err(Error::wrap)?;
    crate::fallback::max_pool2d(xs, &size)
}
