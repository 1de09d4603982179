//! How the pixels that a kernel reads come into scratch.

use std::ops::Range;

use crate::geometry::ConvSize;
use crate::simd::Simd;

/// Where vectors of pixels go: `start + p * pixel + v * vector`.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) start: *mut f32,
    pub(crate) pixel: usize,
    pub(crate) vector: usize,
}

impl Target {
    /// Each pixel's vectors one after the other.
    pub(crate) fn by_pixels(start: *mut f32, pixel: usize, lanes: usize) -> Self {
        Self {
            start,
            pixel,
            vector: lanes,
        }
    }

    /// Each vector's pixels one after the other, with room for `block` pixels.
    pub(crate) fn by_vectors(start: *mut f32, block: usize, lanes: usize) -> Self {
        Self {
            start,
            pixel: lanes,
            vector: block * lanes,
        }
    }
}

/// Pixels of a map, made when they are read.
pub(crate) trait Rows {
    /// Writes some pixels, and of them some vectors of channels; zeros fill up the last vector.
    ///
    /// # Safety
    /// The target must have room for them and be nobody else's; what they are made from must be
    /// readable.
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    );
}

/// The window of each output pixel of a full convolution, `[rows, columns, channels]`, and zeros
/// where it reaches beyond the image. Always all vectors of it.
#[derive(Clone, Copy)]
pub(crate) struct Patches<'a> {
    pub(crate) images: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) size: &'a ConvSize,
}

impl Rows for Patches<'_> {
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        _: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    ) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let channels = self.channels;
        for (p, output) in pixels.enumerate() {
            let (row, x) = (output / columns.output, output % columns.output);
            let (image, y) = (row / rows.output, row % rows.output);
            let pixel = target.start.wrapping_add(p * target.pixel);
            let write = |k: usize, value: f32| {
                let offset = k / S::LANES * target.vector + k % S::LANES;
                // SAFETY: `k` is below vectors * LANES, for which the target has room.
                unsafe { pixel.add(offset).write(value) }
            };
            let inside = columns.taps(x);
            let mut k = 0;
            for ky in 0..rows.kernel {
                let row = rows.source(y, ky);
                for kx in 0..columns.kernel {
                    let from = row.filter(|_| inside.contains(&kx)).map(|row| {
                        let row = image * rows.input + row;
                        (row * columns.input + columns.under(x, kx)) * channels
                    });
                    for c in 0..channels {
                        write(k, from.map_or(0.0, |from| self.images[from + c]));
                        k += 1;
                    }
                }
            }
            for k in k..vectors.end * S::LANES {
                write(k, 0.0);
            }
        }
    }
}
