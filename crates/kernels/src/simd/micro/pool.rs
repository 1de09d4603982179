//! The mean of a rectangle of pixels, one vector of channels at a time.

use super::part::{load_part, store_part};
use crate::simd::Simd;

/// A rectangle of pixels, and where to write its mean.
pub(crate) struct Mean {
    /// First pixel.
    pub(crate) input: *const f32,
    /// Rows and columns.
    pub(crate) size: [usize; 2],
    /// Values from one row to the next, and from one pixel to the next.
    pub(crate) strides: [usize; 2],
    /// Channels.
    pub(crate) channels: usize,
    /// Where to write the mean.
    pub(crate) output: *mut f32,
}

/// The mean of no pixels is 0.
///
/// # Safety
/// The channels of every pixel of the rectangle must be readable. The output must be writable and
/// used by no other thread.
#[inline(always)]
pub(crate) unsafe fn mean<S: Simd>(simd: S, mean: &Mean) {
    let scale = 1.0 / (mean.size[0] * mean.size[1]).max(1) as f32;
    for channel in (0..mean.channels).step_by(S::LANES) {
        let count = mean.channels - channel;
        let zero = simd.splat(0.0);
        let mut sum = zero;
        for y in 0..mean.size[0] {
            for x in 0..mean.size[1] {
                // SAFETY: the caller guarantees the rectangle.
                unsafe {
                    let pixel = mean
                        .input
                        .add(y * mean.strides[0] + x * mean.strides[1] + channel);
                    sum = simd.add(sum, load_part(simd, pixel, count));
                }
            }
        }
        // SAFETY: the caller guarantees the output.
        unsafe {
            store_part(
                simd,
                mean.output.add(channel),
                simd.mul_add(sum, simd.splat(scale), zero),
                count,
            );
        }
    }
}
