//! Gradients of average pools. An input's gradient is the sum of its shares in all windows that
//! contain it.

use crate::error::KernelError;
use crate::geometry::ConvSize;
use crate::layer::slices::pool::average_gradient;
use crate::pool::whole;

/// The gradient of the input of [`crate::pool::average_pool`].
///
/// # Errors
/// If the length of a slice does not match its shape, or there are no channels.
pub fn average_pool_gradient(
    size: &ConvSize,
    channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    average_gradient(size, channels, output_gradient, input_gradient.into())
}

/// The gradient of the input of [`crate::pool::global_average_pool`].
///
/// # Errors
/// If the length of a slice does not match its shape, or there are no pixels or channels.
pub fn global_average_pool_gradient(
    batch: usize,
    pixels: usize,
    channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let size = whole(batch, pixels)?;
    average_gradient(&size, channels, output_gradient, input_gradient.into())
}
