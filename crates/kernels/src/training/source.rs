//! What a step reads: the activation of the layer before, made again from its `z`, or patches of
//! the images.

use super::plan::{Coefficient, Step};
use super::program::Run;
use crate::geometry::ConvSize;
use crate::simd::Simd;
use crate::simd::normalization::{Differential, Gate, Normalize, differential, gate, normalize};

/// Where vectors of pixels go: `start + p * pixel + v * vector`.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) start: *mut f32,
    pub(super) pixel: usize,
    pub(super) vector: usize,
}

impl Step {
    /// Activation of `count` pixels of this layer's map, from `first` on.
    #[inline(always)]
    pub(super) fn activation<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        first: usize,
        count: usize,
        target: Target,
    ) {
        let job = Normalize {
            input: run.pointer(self.map + first * self.width),
            pixel: self.width,
            count,
            vectors: self.vectors,
            scale: run.coefficient(self, Coefficient::Scale),
            shift: run.coefficient(self, Coefficient::Shift),
            bounds: self.layer.activation.bounds(),
            output: target.start,
            output_pixel: target.pixel,
            output_vector: target.vector,
        };
        // SAFETY: the pixels lie in the map, which no thread writes now; the target is scratch of
        // this thread.
        unsafe { normalize(simd, &job) }
    }

    /// Gradient with respect to `z` of `count` pixels from `first` on, some vectors of channels.
    #[inline(always)]
    pub(super) fn map_gradient<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        (first, count): (usize, usize),
        (vector, vectors): (usize, usize),
        target: Target,
    ) {
        let channel = vector * S::LANES;
        let place = first * self.width + channel;
        let row = |which| run.coefficient(self, which).wrapping_add(channel);
        let job = Differential {
            gradient: run.gradients(self).0.wrapping_add(place),
            input: run.pointer(self.map + place),
            pixel: self.width,
            count,
            vectors,
            factor: row(Coefficient::Scale),
            slope: row(Coefficient::Slope),
            offset: row(Coefficient::Offset),
            output: target.start,
            output_pixel: target.pixel,
            output_vector: target.vector,
        };
        // SAFETY: as in `activation`.
        unsafe { differential(simd, &job) }
    }

    /// Takes the gradient of this layer's activation, just written, through the activation, and
    /// adds to the thread's sums.
    #[inline(always)]
    pub(super) fn gate<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        first: usize,
        count: usize,
        partial: &super::statistics::Partial,
    ) {
        let job = Gate {
            gradient: run.gradients(self).0.wrapping_add(first * self.width),
            input: run.pointer(self.map + first * self.width),
            pixel: self.width,
            count,
            vectors: self.vectors,
            scale: run.coefficient(self, Coefficient::Scale),
            shift: run.coefficient(self, Coefficient::Shift),
            mean: run.coefficient(self, Coefficient::Mean),
            bounds: self.layer.activation.bounds(),
            sums: partial.first,
            products: partial.second,
        };
        // SAFETY: the pixels of the gradient are this thread's, the map is only read, the sums are
        // this thread's.
        unsafe { gate(simd, &job) }
    }
}

/// Copies the windows of `count` output pixels from `first` on, taps outermost, and zeros where a
/// window reaches beyond the image or fills up the last vector.
#[inline(always)]
pub(super) fn patches<S: Simd>(
    _: S,
    run: &Run<'_>,
    size: &ConvSize,
    (first, count): (usize, usize),
    vectors: usize,
    target: Target,
) {
    let [height, width, channels] = run.plan.image;
    let (rows, columns) = (&size.rows, &size.columns);
    for p in 0..count {
        let output = first + p;
        let (image, place) = (
            output / (rows.output * columns.output),
            output % (rows.output * columns.output),
        );
        let (y, x) = (place / columns.output, place % columns.output);
        let pixel = target.start.wrapping_add(p * target.pixel);
        let write = |k: usize, value: f32| {
            // SAFETY: `k` is below vectors * LANES, for which the target has room.
            unsafe {
                pixel
                    .add(k / S::LANES * target.vector + k % S::LANES)
                    .write(value)
            }
        };
        let inside = columns.taps(x);
        let mut k = 0;
        for ky in 0..rows.kernel {
            let row = rows.source(y, ky);
            for kx in 0..columns.kernel {
                let from = row.filter(|_| inside.contains(&kx)).map(|row| {
                    let column = x * columns.stride + kx * columns.dilation - columns.before;
                    ((image * height + row) * width + column) * channels
                });
                for c in 0..channels {
                    write(k, from.map_or(0.0, |from| run.images[from + c]));
                    k += 1;
                }
            }
        }
        for k in k..vectors * S::LANES {
            write(k, 0.0);
        }
    }
}

/// Values that a row of scratch is longer than its channels: strides that are powers of two put
/// neighbouring pixels into the same sets of the cache.
pub(super) const fn gap(width: usize) -> usize {
    if width >= 128 { 16 } else { 0 }
}

/// Values of scratch that stay in the L2 cache together with weights: half of 1 MiB.
pub(super) const SCRATCH: usize = 1 << 17;
