//! The inner loop of all tiles: adds the products of some pixels and a panel of weights to sums in
//! registers.

use super::ahead::Walk;
use crate::simd::Simd;
use crate::simd::addresses::Addresses;
use crate::simd::opaque::opaque;
use crate::simd::weight::{Weight, load_vectors};

/// Sums of a tile.
pub(super) type Sums<S, const PIXELS: usize, const VECTORS: usize> =
    [[<S as Simd>::Vector; VECTORS]; PIXELS];

/// Values of `k` in one pass of the loop where each pixel has a pointer. On Zen 3 this takes 1.5 %
/// less time than one value a pass, on a Xeon by AVX2 1 to 2 %.
const UNROLLED: usize = 4;

/// Most pixels that have a pointer each. With more, the pointers do not stay in 16 registers. The
/// compilers of WebAssembly lose by it.
const POINTERS: usize = if cfg!(target_family = "wasm") { 0 } else { 6 };

/// Values in a cache line.
const LINE: usize = 64;

/// One segment of each pixel of a tile, and its weights.
pub(super) struct Product<W> {
    /// The first pixel's values, and the distance to the next pixel's.
    pub(super) input: (*const f32, usize),
    /// `[length][vectors * LANES]`.
    pub(super) weights: *const W,
    pub(super) length: usize,
    /// What to prefetch meanwhile: weights, and what else is read next.
    pub(super) ahead: [Walk; 2],
}

impl<W: Weight> Product<W> {
    /// Adds the product to the sums of a tile.
    ///
    /// # Safety
    /// Input and weights must be readable as the fields say.
    #[inline(always)]
    pub(super) unsafe fn add_to<S: Simd, const PIXELS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        sums: &mut Sums<S, PIXELS, VECTORS>,
    ) {
        let (input, stride) = self.input;
        if cfg!(target_arch = "x86_64") && [stride, self.length] == [S::LANES; 2] {
            // SAFETY: the caller's guarantee.
            unsafe { self.add_vector_to(simd, sums) }
            return;
        }
        let mut ahead = self.ahead;
        let mut prefetch = |walk: usize, values: usize| {
            simd.prefetch(ahead[walk].at);
            ahead[walk] = ahead[walk].after(values);
        };
        let width = VECTORS * S::LANES;
        let mut weights = self.weights;
        // SAFETY: the caller guarantees that this memory is valid.
        unsafe {
            if PIXELS <= POINTERS {
                // No instruction but loads and multiply-adds, nearly: others take their units.
                let pixels: [_; PIXELS] = std::array::from_fn(|i| opaque(input.add(i * stride)));
                let unrolled = self.length - self.length % UNROLLED;
                for k in (0..unrolled).step_by(UNROLLED) {
                    // Written out: of a loop here, LLVM makes code that takes 3 to 5 % longer by AVX2.
                    macro_rules! step {
                        ($j:literal) => {
                            let weights = weights.add($j * width);
                            add(simd, sums, weights, |i| pixels[i].add(k + $j));
                        };
                    }
                    step!(0);
                    prefetch(0, 2);
                    step!(1);
                    prefetch(1, UNROLLED);
                    step!(2);
                    prefetch(0, 2);
                    step!(3);
                    weights = weights.add(UNROLLED * width);
                }
                for k in unrolled..self.length {
                    add(simd, sums, weights, |i| pixels[i].add(k));
                    weights = weights.add(width);
                }
            } else if cfg!(not(target_family = "wasm")) {
                let mut pixels = Addresses::<_, PIXELS>::new(input, stride);
                for _ in 0..self.length {
                    let values = pixels.values();
                    add(simd, sums, weights, |i| values[i]);
                    prefetch(0, 1);
                    prefetch(1, 1);
                    pixels.advance(1);
                    weights = weights.add(width);
                }
            } else {
                let mut input = input;
                for _ in 0..self.length {
                    add(simd, sums, weights, |i| input.add(i * stride));
                    prefetch(0, 1);
                    input = input.add(1);
                    weights = weights.add(width);
                }
            }
        }
    }

    /// [`Self::add_to`] for pixels that are one vector each, without a gap: all their addresses are one
    /// pointer and constants. For gradients that are stored so, that takes 10 % less time by AVX2 and 5 %
    /// by AVX-512. Nothing but weights is prefetched.
    ///
    /// # Safety
    /// As [`Self::add_to`].
    #[inline(always)]
    unsafe fn add_vector_to<S: Simd, const PIXELS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        sums: &mut Sums<S, PIXELS, VECTORS>,
    ) {
        const { assert!(S::LANES.is_multiple_of(UNROLLED)) };
        let width = VECTORS * S::LANES;
        let (mut input, mut weights) = (self.input.0, self.weights);
        let mut ahead = self.ahead[0];
        // Opaque, or LLVM unrolls it, loads everything first, and has no registers left for the sums.
        for _ in 0..opaque(S::LANES / UNROLLED) {
            macro_rules! step {
                ($j:literal) => {
                    input = opaque(input);
                    // SAFETY: the caller guarantees that this memory is valid.
                    unsafe {
                        let weights = weights.add($j * width);
                        add(simd, sums, weights, |i| input.add(i * S::LANES + $j));
                    }
                };
            }
            step!(0);
            simd.prefetch(ahead.at);
            ahead = ahead.after(UNROLLED / 2);
            step!(1);
            step!(2);
            simd.prefetch(ahead.at);
            ahead = ahead.after(UNROLLED / 2);
            step!(3);
            input = input.wrapping_add(UNROLLED);
            weights = weights.wrapping_add(UNROLLED * width);
        }
    }

    /// Adds the product to the sums of a single pixel, whose weights are read once and come from far
    /// away: each of their lines is prefetched, `ahead[0].at - weights` further on.
    ///
    /// # Safety
    /// As [`Self::add_to`].
    #[inline(always)]
    pub(super) unsafe fn stream_to<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        sums: &mut Sums<S, 1, VECTORS>,
    ) {
        let width = VECTORS * S::LANES;
        let lines = (width * size_of::<W>()).div_ceil(LINE);
        for k in 0..self.length {
            // SAFETY: the caller guarantees that this memory is valid.
            unsafe {
                let input = self.input.0.add(k);
                add(simd, sums, self.weights.add(k * width), |_| input);
            }
            for line in 0..lines {
                let ahead = self.ahead[0].at.wrapping_add(k * width * size_of::<W>());
                simd.prefetch(ahead.wrapping_add(line * LINE));
            }
        }
    }
}

/// Adds the products of one `k`, whose value of pixel `i` is at `value(i)`.
///
/// # Safety
/// The values and `VECTORS` vectors of weights must be readable.
#[inline(always)]
unsafe fn add<S: Simd, W: Weight, const PIXELS: usize, const VECTORS: usize>(
    simd: S,
    sums: &mut Sums<S, PIXELS, VECTORS>,
    weights: *const W,
    value: impl Fn(usize) -> *const f32,
) {
    // SAFETY: the caller guarantees that this memory is valid.
    let w = unsafe { load_vectors::<S, W, VECTORS>(simd, weights) };
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the same.
        let value = simd.splat(unsafe { *value(i) });
        for (sum, w) in sums.iter_mut().zip(w) {
            *sum = simd.mul_add(w, value, *sum);
        }
    }
}
