//! Depthwise convolution of a row of pixels.

use super::rounding::Rounding;
use super::vector::IntegerSimd;

/// Output pixels that are neighbours in a row.
pub(crate) struct Row<'a> {
    /// The first pixel's window: the input's first channel under its first tap.
    pub(crate) input: *const u8,
    /// Bytes from a pixel's window to the next.
    pub(crate) step: usize,
    /// Offsets of the taps, two by two.
    pub(crate) taps: &'a [[usize; 2]],
    pub(crate) pixels: usize,
    pub(crate) channels: usize,
    /// `[vectors, pairs of taps, LANES, 2]`.
    pub(crate) weights: *const i16,
    /// What sums begin with, for whole vectors.
    pub(crate) start: *const i32,
    pub(crate) rounding: Rounding<'a>,
}

/// Where the pixels are written, and the distance from one to the next.
#[derive(Clone, Copy)]
pub(crate) enum Target<V> {
    /// A map.
    Bytes(*mut u8, usize),
    /// Left operands of a matrix product.
    Values(*mut V, usize),
}

/// # Safety
/// The pointers must be valid for the sizes, input windows also for a whole vector from any channel
/// on, and the output must be the caller's alone.
#[inline(always)]
pub(crate) unsafe fn run<S: IntegerSimd>(simd: S, row: &Row<'_>, target: Target<S::Value>) {
    for vector in 0..row.channels.div_ceil(S::LANES) {
        let channel = vector * S::LANES;
        let count = (row.channels - channel).min(S::LANES);
        // SAFETY: the caller's guarantee.
        unsafe {
            let start = simd.load(row.start.add(channel));
            let weights = row.weights.add(2 * channel * row.taps.len());
            for pixel in 0..row.pixels {
                let window = row.input.add(pixel * row.step + channel);
                let mut sums = start;
                for (pair, [a, b]) in row.taps.iter().enumerate() {
                    let weights = weights.add(2 * S::LANES * pair);
                    sums = simd.taps(sums, window.add(*a), window.add(*b), weights);
                }
                let bytes = row.rounding.bytes(simd, sums, channel, count);
                match target {
                    Target::Bytes(to, step) => {
                        simd.store_bytes(to.add(pixel * step + channel), bytes, count);
                    }
                    Target::Values(to, step) => {
                        simd.store_values(to.add(pixel * step + channel), bytes, count);
                    }
                }
            }
        }
    }
}
