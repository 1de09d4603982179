//! Sources of the pixels that a kernel reads. They write the pixels to scratch memory.

use std::marker::PhantomData;
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

/// The image, row and column of an output pixel.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    image: usize,
    y: usize,
    x: usize,
}

impl Patches<'_> {
    /// Where output pixel `output` is.
    #[inline(always)]
    pub(crate) fn place(&self, output: usize) -> Place {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let (row, x) = (output / columns.output, output % columns.output);
        let (image, y) = (row / rows.output, row % rows.output);
        Place { image, y, x }
    }

    /// The place after another one.
    #[inline(always)]
    fn after(&self, Place { image, y, x }: Place) -> Place {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        if x + 1 < columns.output {
            Place { image, y, x: x + 1 }
        } else if y + 1 < rows.output {
            Place {
                image,
                y: y + 1,
                x: 0,
            }
        } else {
            Place {
                image: image + 1,
                y: 0,
                x: 0,
            }
        }
    }

    /// Calls `call(values, from)` for each contiguous run of an output pixel's patch. `values` is
    /// its range in the patch, `from` its offset in the images, or `None` if it is padding.
    #[inline(always)]
    pub(crate) fn runs(&self, place: Place, mut call: impl FnMut(Range<usize>, Option<usize>)) {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let Place { image, y, x } = place;
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
        simd: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    ) {
        let depth = self.size.rows.kernel * self.size.columns.kernel * self.channels;
        let whole = Whole::<S>::new(self, vectors.end);
        let mut patch = [0.0; WIDEST + 64];
        let mut place = self.place(pixels.start);
        for p in 0..pixels.len() {
            let pixel = target.start.wrapping_add(p * target.pixel);
            let from = whole.as_ref().and_then(|whole| whole.from(place));
            if let (Some(whole), Some(from)) = (&whole, from) {
                // SAFETY: the caller guarantees the target, and the whole window is in the images.
                unsafe { whole.load(simd, from, &mut patch, pixel, target.vector) }
            } else {
                let write = |k: usize, value: f32| {
                    let offset = k / S::LANES * target.vector + k % S::LANES;
                    // SAFETY: `k` is below `vectors * LANES`, and the target has room for that many
                    // values.
                    unsafe { pixel.add(offset).write(value) }
                };
                self.runs(place, |run, from| match from {
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
            place = self.after(place);
        }
    }
}

/// Most values of a patch, in whole vectors, that are copied by vectors.
const WIDEST: usize = 128;

/// Patches that lie in the image as a whole, with a contiguous run for each row of taps.
struct Whole<'a, S> {
    patches: &'a Patches<'a>,
    /// The outputs of each axis with such patches.
    inside: [Range<usize>; 2],
    /// Values of a run, from one run to the next, and of the patch with its padding.
    run: usize,
    row: usize,
    width: usize,
    simd: PhantomData<S>,
}

impl<'a, S: Simd> Whole<'a, S> {
    /// `None` if there are none.
    #[inline(always)]
    fn new(patches: &'a Patches<'a>, vectors: usize) -> Option<Self> {
        let (rows, columns) = (&patches.size.rows, &patches.size.columns);
        let (run, width) = (columns.kernel * patches.channels, vectors * S::LANES);
        let fits = rows.kernel * run <= width && width <= WIDEST;
        (columns.dilation == 1 && fits).then(|| Self {
            patches,
            inside: [rows.inside(), columns.inside()],
            run,
            row: rows.dilation * columns.input * patches.channels,
            width,
            simd: PhantomData,
        })
    }

    /// Where the first run begins in the images, if all are there, and as many values as vectors read.
    #[inline(always)]
    fn from(&self, place: Place) -> Option<usize> {
        let (rows, columns) = (&self.patches.size.rows, &self.patches.size.columns);
        let [y, x] = &self.inside;
        if !y.contains(&place.y) || !x.contains(&place.x) {
            return None;
        }
        let row = place.image * rows.input + rows.under(place.y, 0);
        let from = (row * columns.input + columns.under(place.x, 0)) * self.patches.channels;
        let end = from + (rows.kernel - 1) * self.row + self.run.next_multiple_of(S::LANES);
        (end <= self.patches.images.len()).then_some(from)
    }

    /// # Safety
    /// `from` must be of [`Self::from`]. The vectors at `to` must be writable and used by no other thread.
    #[inline(always)]
    unsafe fn load(
        &self,
        simd: S,
        from: usize,
        patch: &mut [f32; WIDEST + 64],
        to: *mut f32,
        vector: usize,
    ) {
        let kernel = self.patches.size.rows.kernel;
        let patch = patch.as_mut_ptr();
        // SAFETY: runs are in the images, and the patch has room for one more vector.
        unsafe {
            for row in 0..kernel {
                let from = self.patches.images.as_ptr().add(from + row * self.row);
                for start in (0..self.run).step_by(S::LANES) {
                    simd.store(
                        patch.add(row * self.run + start),
                        simd.load(from.add(start)),
                    );
                }
            }
            for start in (kernel * self.run..self.width).step_by(S::LANES) {
                simd.store(patch.add(start), simd.splat(0.0));
            }
            for v in 0..self.width / S::LANES {
                simd.store(to.add(v * vector), simd.load(patch.add(v * S::LANES)));
            }
        }
    }
}
