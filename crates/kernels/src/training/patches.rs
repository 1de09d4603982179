//! Patches of maps, for full convolutions after the first layer: for each pixel, what each tap of the
//! window reads. Each tap has whole vectors, which are zeros where it reads nothing.
//!
//! ```text
//! forward   the window of an output pixel, in the activation of the layer before
//! backward  the output pixels whose windows contain an input pixel, in the gradient of the map
//! ```

use std::ops::Range;

use crate::geometry::ConvSize;
use crate::layer::{Rows, Target};
use crate::simd::Simd;

/// Which pixels have the patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Output pixels. Their patches are input pixels.
    Output,
    /// Input pixels. Their patches are output pixels.
    Input,
}

/// Patches of the pixels of `map`, which have `vectors` vectors each.
#[derive(Clone, Copy)]
pub(super) struct MapPatches<'a, R> {
    pub(super) map: R,
    pub(super) vectors: usize,
    pub(super) size: &'a ConvSize,
    pub(super) side: Side,
}

impl<R> MapPatches<'_, R> {
    /// Image, row and column of a pixel that has a patch.
    fn place(&self, pixel: usize) -> [usize; 3] {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let (height, width) = match self.side {
            Side::Output => (rows.output, columns.output),
            Side::Input => (rows.input, columns.input),
        };
        let (row, x) = (pixel / width, pixel % width);
        [row / height, row % height, x]
    }

    /// The pixel of the map that a tap reads.
    fn source(&self, [image, y, x]: [usize; 3], [ky, kx]: [usize; 2]) -> Option<usize> {
        let (rows, columns) = (&self.size.rows, &self.size.columns);
        let (y, x, height, width) = match self.side {
            Side::Output => (
                rows.source(y, ky)?,
                columns.source(x, kx)?,
                rows.input,
                columns.input,
            ),
            Side::Input => (
                rows.reader(y, ky)?,
                columns.reader(x, kx)?,
                rows.output,
                columns.output,
            ),
        };
        Some((image * height + y) * width + x)
    }
}

impl<R: Rows> Rows for MapPatches<'_, R> {
    /// Loads all vectors, whatever range is asked for.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, pixels: Range<usize>, _: Range<usize>, target: Target) {
        let kernel = [self.size.rows.kernel, self.size.columns.kernel];
        for (p, pixel) in pixels.enumerate() {
            let place = self.place(pixel);
            for ky in 0..kernel[0] {
                for kx in 0..kernel[1] {
                    let first = (ky * kernel[1] + kx) * self.vectors;
                    let offset = p * target.pixel + first * target.vector;
                    let target = Target {
                        start: target.start.wrapping_add(offset),
                        ..target
                    };
                    // SAFETY: the caller guarantees room for all taps of the pixels. The source is a
                    // pixel of the map.
                    unsafe {
                        match self.source(place, [ky, kx]) {
                            Some(source) => {
                                let vectors = 0..self.vectors;
                                self.map.load(simd, source..source + 1, vectors, target);
                            }
                            None => {
                                for vector in 0..self.vectors {
                                    let to = target.start.add(vector * target.vector);
                                    to.write_bytes(0, S::LANES);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
