//! The sums of Strassen's scheme that are no matrix products (see `inference/strassen.rs`).

use std::ops::Range;

use super::Simd;

/// `S1` to `S4` of a pair of pixels, for some vectors of half a pixel's channels: of pixels
/// `[A11 A12]` and `[A21 A22]`, halves `half` values long, into four halves at `output`.
///
/// # Safety
/// Both pixels must be readable, the output writable and nobody else's.
#[inline(always)]
pub(crate) unsafe fn input_sums<S: Simd>(
    simd: S,
    pixels: [*mut f32; 2],
    half: usize,
    vectors: &Range<usize>,
    output: *mut f32,
) {
    let minus = simd.splat(-1.0);
    // a - b, exactly as rounded as a subtraction.
    let subtract = |a, b| simd.mul_add(b, minus, a);
    for channel in vectors.clone().map(|vector| vector * S::LANES) {
        // SAFETY: the caller vouches for the places.
        unsafe {
            let [a11, a21] = pixels.map(|pixel| simd.load(pixel.add(channel)));
            let [a12, a22] = pixels.map(|pixel| simd.load(pixel.add(half + channel)));
            let s1 = simd.add(a21, a22);
            let s2 = subtract(s1, a11);
            let output = output.add(channel);
            simd.store(output, s1);
            simd.store(output.add(half), s2);
            simd.store(output.add(2 * half), subtract(a11, a21));
            simd.store(output.add(3 * half), subtract(a12, s2));
        }
    }
}

/// Partial results of a tile: pixels one after the other, vectors side by side.
pub(crate) struct Partial {
    pub(crate) u2: *mut f32,
    pub(crate) u3: *const f32,
    pub(crate) p5: *const f32,
    /// Vectors of the tile.
    pub(crate) vectors: usize,
}

/// Adds `P5` where it belongs: `C22 = U3 + P5` is finished and goes to `output` at the offsets, and
/// `U4 = U2 + P5` takes the place of `U2`.
///
/// # Safety
/// The partial results must be readable, `U2` writable, and the output writable and nobody else's.
#[inline(always)]
pub(crate) unsafe fn add_p5<S: Simd>(
    simd: S,
    partial: &Partial,
    bounds: (f32, f32),
    output: *mut f32,
    offsets: &[usize],
) {
    let (low, high) = (simd.splat(bounds.0), simd.splat(bounds.1));
    for (pixel, offset) in offsets.iter().enumerate() {
        for vector in 0..partial.vectors {
            let at = (pixel * partial.vectors + vector) * S::LANES;
            // SAFETY: the caller vouches for the places.
            unsafe {
                let p5 = simd.load(partial.p5.add(at));
                let u2 = partial.u2.add(at);
                simd.store(u2, simd.add(simd.load(u2), p5));
                let c22 = simd.add(simd.load(partial.u3.add(at)), p5);
                let output = output.add(offset + vector * S::LANES);
                simd.store(output, simd.clamp(c22, low, high));
            }
        }
    }
}
