//! Average pooling of NHWC maps.

use crate::error::KernelError;
use crate::geometry::{ConvGeometry, ConvSize, Padding};
use crate::layer::slices::pool::average;

/// Averages each window of `input` `[batch, height, width, channels]` into `output`
/// `[batch, output rows, output columns, channels]`. Padding is not part of the average, as in
/// TensorFlow.
///
/// # Errors
/// If the length of a slice does not match its shape, or there are no channels.
pub fn average_pool(
    input: &[f32],
    size: &ConvSize,
    channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    average(input, size, channels, output.into())
}

/// Averages all pixels of each image: `input` `[batch, pixels, channels]`, `output`
/// `[batch, channels]`.
///
/// # Errors
/// If the length of a slice does not match its shape, or there are no pixels or channels.
pub fn global_average_pool(
    input: &[f32],
    batch: usize,
    pixels: usize,
    channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    average(input, &whole(batch, pixels)?, channels, output.into())
}

/// The window that covers all pixels. The pixels count as one row.
pub(crate) fn whole(batch: usize, pixels: usize) -> Result<ConvSize, KernelError> {
    if pixels == 0 {
        return Err(KernelError::Zero {
            what: "pool window",
        });
    }
    let geometry = ConvGeometry {
        kernel: [1, pixels],
        stride: 1,
        dilation: 1,
        padding: Padding::VALID,
    };
    geometry.resolve(batch, 1, pixels)
}
