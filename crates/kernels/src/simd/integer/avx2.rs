//! x86-64 with AVX2: 8 sums, two products of 16 bits at a time.

use std::arch::x86_64::*;

use super::quads;
use super::rounding::Scaling;
use super::row::{Row, Target};
use super::vector::{IntegerKernel, IntegerSimd, byte_steps, store_vectors};

/// Proof that the machine has AVX2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

#[inline(never)]
#[target_feature(enable = "avx2")]
fn enter<K: IntegerKernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// What other ways to multiply do as this one: all that is neither a product nor its operand.
macro_rules! sums_of_avx2 {
    ($quads:ident) => {
        #[inline(always)]
        unsafe fn load(self, from: *const i32) -> Self::Sums {
            // SAFETY: the caller's guarantee is the same, here and below.
            unsafe { self.0.load(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut i32, sums: Self::Sums) {
            // SAFETY: as above.
            unsafe { self.0.store(to, sums) }
        }

        #[inline(always)]
        unsafe fn depthwise_quads(self, row: &Row<'_>, target: Target<Self::Value>) -> bool {
            // SAFETY: as above.
            unsafe { quads::$quads(self, row, target) }
        }

        #[inline(always)]
        unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs {
            // SAFETY: as above.
            unsafe { self.0.pairs(a, b) }
        }

        #[inline(always)]
        unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs {
            // SAFETY: as above.
            unsafe { self.0.pairs_of_weights(from) }
        }

        #[inline(always)]
        unsafe fn scale(
            self,
            sums: Self::Sums,
            factors: *const f32,
            bounds: [f32; 2],
            zero_point: i32,
        ) -> Self::Sums {
            // SAFETY: as above.
            unsafe { self.0.scale(sums, factors, bounds, zero_point) }
        }

        #[inline(always)]
        unsafe fn quantize(self, numbers: *const f32, factor: f32, zero_point: i32) -> Self::Sums {
            // SAFETY: as above.
            unsafe { self.0.quantize(numbers, factor, zero_point) }
        }

        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
            // SAFETY: as above.
            unsafe { self.0.store_bytes(to, sums, count) }
        }

        #[inline(always)]
        unsafe fn store_pixel<const V: usize>(
            self,
            to: *mut u8,
            sums: [Self::Sums; V],
            scaling: Scaling,
            channels: [usize; 2],
        ) {
            // SAFETY: as above.
            unsafe { self.0.store_pixel(to, sums, scaling, channels) }
        }
    };
}
pub(super) use sums_of_avx2;

/// The sums as 16 bits.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn narrow(sums: __m256i) -> __m128i {
    // SAFETY: the caller's guarantee.
    unsafe {
        let (low, high) = (
            _mm256_castsi256_si128(sums),
            _mm256_extracti128_si256::<1>(sums),
        );
        _mm_packs_epi32(low, high)
    }
}

/// The sums of two vectors as 16 bits: in each half four of the first, then four of the second.
///
/// # Safety
/// The machine has AVX2; there are factors for two vectors.
#[inline(always)]
pub(super) unsafe fn words(sums: [__m256i; 2], scaling: Scaling) -> __m256i {
    let [_, high] = scaling.bounds;
    // SAFETY: the caller's guarantee.
    unsafe {
        let mut steps = [_mm256_setzero_si256(); 2];
        for (v, (steps, sums)) in steps.iter_mut().zip(sums).enumerate() {
            let factors = _mm256_loadu_ps(scaling.factors.add(8 * v));
            let numbers = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), factors);
            *steps = _mm256_cvtps_epi32(_mm256_min_ps(numbers, _mm256_set1_ps(high)));
        }
        let zero_point = _mm256_set1_epi16(scaling.zero_point as i16);
        _mm256_adds_epi16(_mm256_packs_epi32(steps[0], steps[1]), zero_point)
    }
}

/// Words as bytes, half by half.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
pub(super) unsafe fn bytes(first: __m256i, second: __m256i, scaling: Scaling) -> __m256i {
    // SAFETY: the caller's guarantee.
    unsafe {
        // What is too low has saturated.
        let least = _mm256_set1_epi8(scaling.least_byte() as i8);
        _mm256_max_epu8(_mm256_packus_epi16(first, second), least)
    }
}

impl IntegerSimd for Avx2 {
    type Sums = __m256i;
    type Left = __m256i;
    type Right = __m256i;
    type Pairs = __m256i;
    type Value = i16;
    type Weight = i16;
    const LANES: usize = 8;
    const DEPTH: usize = 2;
    const TILE: usize = 6;
    const UNROLLED: usize = 4;
    const PANEL: usize = 2;
    const WHOLE: i32 = i16::MAX as i32;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { enter(self, kernel) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> Self::Sums {
        // SAFETY: the caller guarantees readable values; `self` proves the instruction set.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, sums: Self::Sums) {
        // SAFETY: the caller guarantees writable values; `self` proves the instruction set.
        unsafe { _mm256_storeu_si256(to.cast(), sums) }
    }

    #[inline(always)]
    unsafe fn left(self, from: *const i16) -> Self::Left {
        // SAFETY: the caller guarantees two readable values; `self` proves the instruction set.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i16) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; `self` proves the instruction set.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(left, right)) }
    }

    #[inline(always)]
    unsafe fn depthwise_quads(self, row: &Row<'_>, target: Target<Self::Value>) -> bool {
        // SAFETY: the caller's guarantee.
        unsafe { quads::pairs(self, row, target) }
    }

    #[inline(always)]
    unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs {
        // SAFETY: the caller guarantees readable bytes; `self` proves the instruction set.
        unsafe {
            let bytes = _mm_unpacklo_epi8(_mm_loadl_epi64(a.cast()), _mm_loadl_epi64(b.cast()));
            _mm256_cvtepu8_epi16(bytes)
        }
    }

    #[inline(always)]
    unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs {
        // SAFETY: the caller guarantees readable weights; `self` proves the instruction set.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums {
        self.dot(sums, bytes, weights)
    }

    #[inline(always)]
    unsafe fn scale(
        self,
        sums: Self::Sums,
        factors: *const f32,
        [low, high]: [f32; 2],
        zero_point: i32,
    ) -> Self::Sums {
        // SAFETY: the caller guarantees readable factors; `self` proves the instruction set.
        unsafe {
            let numbers = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(factors));
            let numbers = _mm256_max_ps(numbers, _mm256_set1_ps(low));
            let steps = _mm256_cvtps_epi32(_mm256_min_ps(numbers, _mm256_set1_ps(high)));
            _mm256_add_epi32(steps, _mm256_set1_epi32(zero_point))
        }
    }

    #[inline(always)]
    unsafe fn quantize(self, numbers: *const f32, factor: f32, zero_point: i32) -> Self::Sums {
        let [low, high] = byte_steps(zero_point);
        // SAFETY: the caller guarantees readable numbers; `self` proves the instruction set.
        unsafe {
            let steps = _mm256_mul_ps(_mm256_loadu_ps(numbers), _mm256_set1_ps(factor));
            let is_number = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_ORD_Q>(steps, steps));
            let steps = _mm256_max_ps(steps, _mm256_set1_ps(low));
            let steps = _mm256_cvtps_epi32(_mm256_min_ps(steps, _mm256_set1_ps(high)));
            let steps = _mm256_and_si256(steps, is_number);
            _mm256_add_epi32(steps, _mm256_set1_epi32(zero_point))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: the caller guarantees `count` writable bytes; `self` proves the instruction set.
        unsafe {
            let words = narrow(sums);
            let bytes = _mm_packus_epi16(words, words);
            if count == Self::LANES {
                _mm_storel_epi64(to.cast(), bytes);
            } else {
                let bytes = _mm_cvtsi128_si64(bytes).to_le_bytes();
                to.copy_from_nonoverlapping(bytes.as_ptr(), count.min(bytes.len()));
            }
        }
    }

    #[inline(always)]
    unsafe fn store_pixel<const V: usize>(
        self,
        to: *mut u8,
        sums: [Self::Sums; V],
        scaling: Scaling,
        [first, channels]: [usize; 2],
    ) {
        if let ([a, b], true) = (sums.as_slice(), channels == 2 * Self::LANES) {
            // SAFETY: the caller guarantees 16 writable bytes; `self` proves the instruction set.
            unsafe {
                // Each half has four bytes of the first vector, then four of the second.
                let words = words([*a, *b], scaling.from(first));
                let bytes = bytes(words, words, scaling);
                let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                let bytes = _mm256_permutevar8x32_epi32(bytes, order);
                _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(bytes));
            }
            return;
        }
        // SAFETY: the caller's guarantee.
        unsafe { store_vectors(self, to, sums, scaling, [first, channels]) }
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut i16, sums: Self::Sums, count: usize) {
        // SAFETY: the caller guarantees `count` writable values; `self` proves the instruction set.
        unsafe {
            let words = narrow(sums);
            if count == Self::LANES {
                _mm_storeu_si128(to.cast(), words);
            } else {
                let mut values = [0i16; 8];
                _mm_storeu_si128(values.as_mut_ptr().cast(), words);
                to.copy_from_nonoverlapping(values.as_ptr(), count.min(values.len()));
            }
        }
    }
}
