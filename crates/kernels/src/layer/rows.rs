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

/// Pixels of a slice, copied, each channel so many times in a row.
#[derive(Clone, Copy)]
pub(crate) struct Pixels<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) multiplier: usize,
}

impl<'a> Pixels<'a> {
    pub(crate) fn new(values: &'a [f32], channels: usize) -> Self {
        Self {
            values,
            channels,
            multiplier: 1,
        }
    }
}

impl Rows for Pixels<'_> {
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    ) {
        for (p, pixel) in pixels.enumerate() {
            let source = &self.values[pixel * self.channels..][..self.channels];
            for (v, vector) in vectors.clone().enumerate() {
                let first = vector * S::LANES;
                // SAFETY: the caller vouches for the target; the source is as long as that.
                unsafe {
                    let to = target.start.add(p * target.pixel + v * target.vector);
                    if self.multiplier == 1 && first + S::LANES <= self.channels {
                        simd.store(to, simd.load(source.as_ptr().add(first)));
                        continue;
                    }
                    for lane in 0..S::LANES {
                        let value = source.get((first + lane) / self.multiplier);
                        to.add(lane).write(value.copied().unwrap_or(0.0));
                    }
                }
            }
        }
    }
}

/// The window of each output pixel of a full convolution, `[rows, columns, channels]`, and zeros
/// where it reaches beyond the image. Always all vectors of it.
#[derive(Clone, Copy)]
pub(crate) struct Patches<'a> {
    pub(crate) images: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) size: &'a ConvSize,
}

impl Patches<'_> {
    /// Calls for each run of neighbouring values of an output pixel's patch: which of the
    /// patch's values, and where they begin in the images, or `None` beyond them.
    #[inline(always)]
    pub(crate) fn runs(&self, output: usize, mut call: impl FnMut(Range<usize>, Option<usize>)) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let (row, x) = (output / columns.output, output % columns.output);
        let (image, y) = (row / rows.output, row % rows.output);
        let inside = columns.taps(x);
        // Taps are neighbours where there are no gaps between them.
        let run = if columns.dilation == 1 {
            inside.len()
        } else {
            1
        };
        for ky in 0..rows.kernel {
            let taps = ky * columns.kernel * self.channels;
            let values =
                |kx: Range<usize>| taps + kx.start * self.channels..taps + kx.end * self.channels;
            let Some(row) = rows.source(y, ky).filter(|_| !inside.is_empty()) else {
                call(values(0..columns.kernel), None);
                continue;
            };
            let row = (image * rows.input + row) * columns.input;
            call(values(0..inside.start), None);
            for kx in inside.clone().step_by(run) {
                let from = (row + columns.under(x, kx)) * self.channels;
                call(values(kx..kx + run), Some(from));
            }
            call(values(inside.end..columns.kernel), None);
        }
    }
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
        let depth = self.size.rows.kernel * self.size.columns.kernel * self.channels;
        for (p, output) in pixels.enumerate() {
            let pixel = target.start.wrapping_add(p * target.pixel);
            let write = |k: usize, value: f32| {
                let offset = k / S::LANES * target.vector + k % S::LANES;
                // SAFETY: `k` is below vectors * LANES, for which the target has room.
                unsafe { pixel.add(offset).write(value) }
            };
            self.runs(output, |run, from| match from {
                Some(from) => {
                    let source = &self.images[from..][..run.len()];
                    for (k, &value) in run.zip(source) {
                        write(k, value);
                    }
                }
                None => run.for_each(|k| write(k, 0.0)),
            });
            for k in depth..vectors.end * S::LANES {
                write(k, 0.0);
            }
        }
    }
}
