//! The mean of a rectangle of pixels, one vector of channels after the other.

use crate::simd::Simd;

/// A rectangle and where its mean goes.
pub(crate) struct Mean {
    /// First pixel.
    pub(crate) input: *const f32,
    /// Rows and columns.
    pub(crate) size: [usize; 2],
    /// Values between rows, and between pixels.
    pub(crate) strides: [usize; 2],
    /// Vectors of channels.
    pub(crate) vectors: usize,
    /// The mean.
    pub(crate) output: *mut f32,
}

/// # Safety
/// All memory that the sizes and strides describe must be readable, the output writable and nobody
/// else's.
#[inline(always)]
pub(crate) unsafe fn mean<S: Simd>(simd: S, mean: &Mean) {
    let scale = 1.0 / (mean.size[0] * mean.size[1]) as f32;
    for vector in 0..mean.vectors {
        let channel = vector * S::LANES;
        let zero = simd.splat(0.0);
        let mut sum = zero;
        for y in 0..mean.size[0] {
            for x in 0..mean.size[1] {
                // SAFETY: the caller vouches for the rectangle.
                unsafe {
                    let pixel = mean
                        .input
                        .add(y * mean.strides[0] + x * mean.strides[1] + channel);
                    sum = simd.add(sum, simd.load(pixel));
                }
            }
        }
        // SAFETY: the caller vouches for the output.
        unsafe {
            simd.store(
                mean.output.add(channel),
                simd.mul_add(sum, simd.splat(scale), zero),
            )
        }
    }
}
