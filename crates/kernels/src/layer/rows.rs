//! Sources of the pixels that a kernel reads. They write the pixels to scratch memory.

use std::ops::Range;

use crate::geometry::ConvSize;
use crate::simd::Simd;

/// Where to write pixels: vector `v` of pixel `p` goes to `start + p * pixel + v * vector`.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) start: *mut f32,
    pub(crate) pixel: usize,
    pub(crate) vector: usize,
}

impl Target {
    /// Pixel after pixel; the vectors of a pixel are contiguous.
    pub(crate) fn by_pixels(start: *mut f32, pixel: usize, lanes: usize) -> Self {
        Self {
            start,
            pixel,
            vector: lanes,
        }
    }

    /// Vector after vector, with room for `block` pixels of each.
    pub(crate) fn by_vectors(start: *mut f32, block: usize, lanes: usize) -> Self {
        Self {
            start,
            pixel: lanes,
            vector: block * lanes,
        }
    }
}

/// Pixels of a map that are computed when a kernel needs them.
pub(crate) trait Rows {
    /// Writes a range of pixels, and of each a range of vectors of channels. Zeros fill up the last
    /// vector.
    ///
    /// # Safety
    /// The target must have room for them and be used by no other thread. Everything that they are
    /// computed from must be readable.
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    );
}

/// Pixels that are copied from a slice. Each channel is repeated `multiplier` times.
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
                // SAFETY: the caller guarantees the target. A vector is loaded only if it lies in
                // `source`.
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

/// The window of each output pixel of a full convolution, `[rows, columns, channels]`, with zeros
/// where it reaches beyond the image. All its vectors are loaded, whatever range is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Patches<'a> {
    pub(crate) images: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) size: &'a ConvSize,
}

impl Patches<'_> {
    /// Calls `call(values, from)` for each contiguous run of an output pixel's patch. `values` is
    /// its range in the patch, `from` its offset in the images, or `None` if it is padding.
    #[inline(always)]
    pub(crate) fn runs(&self, output: usize, mut call: impl FnMut(Range<usize>, Option<usize>)) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let (row, x) = (output / columns.output, output % columns.output);
        let (image, y) = (row / rows.output, row % rows.output);
        let inside = columns.taps(x);
        // Without dilation, all taps of a row that are inside are one run.
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
                // SAFETY: `k` is below `vectors * LANES`, and the target has room for that many
                // values.
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
