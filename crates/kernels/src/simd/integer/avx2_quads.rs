//! x86-64 with AVX2: 32 bytes of rows, interleaved and packed.

use std::arch::x86_64::*;

use super::avx_vnni::AvxVnni;
use super::avx2::Avx2;
use super::avx2_bytes::Avx2Bytes;
use super::avx2_widened::Avx2Widened;
use super::quads::{ColumnSimd, QuadSimd};
use super::rounding::Scaling;
use super::vector::IntegerSimd;

macro_rules! quads_of_avx2 {
    ($set:ty, $value:ty, $write:ident) => {
        impl QuadSimd for $set {
            #[inline(always)]
            unsafe fn read<const N: usize>(self, from: [*const u8; N]) -> __m256i {
                // SAFETY: the caller guarantees readable bytes; `self` proves the instruction set.
                unsafe {
                    match *from.as_slice() {
                        [all] => _mm256_loadu_si256(all.cast()),
                        [low, high] => _mm256_loadu2_m128i(high.cast(), low.cast()),
                        _ => _mm256_setzero_si256(),
                    }
                }
            }

            #[inline(always)]
            unsafe fn write<const N: usize>(self, to: [*mut u8; N], bytes: __m256i) {
                // SAFETY: the caller guarantees writable bytes; `self` proves the instruction set.
                unsafe { write_bytes(&to, bytes) }
            }

            #[inline(always)]
            unsafe fn write_values<const N: usize>(self, to: [*mut $value; N], bytes: __m256i) {
                // SAFETY: the caller guarantees writable values; `self` proves the instruction set.
                unsafe { $write(&to, bytes) }
            }

            #[inline(always)]
            fn zeros(self) -> __m256i {
                // SAFETY: `self` exists, so the machine has the instruction set, here and below.
                unsafe { _mm256_setzero_si256() }
            }

            #[inline(always)]
            fn zip_bytes<const SECOND: bool>(self, a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: as above.
                unsafe {
                    match SECOND {
                        false => _mm256_unpacklo_epi8(a, b),
                        true => _mm256_unpackhi_epi8(a, b),
                    }
                }
            }

            #[inline(always)]
            fn zip_words<const SECOND: bool>(self, a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: as above.
                unsafe {
                    match SECOND {
                        false => _mm256_unpacklo_epi16(a, b),
                        true => _mm256_unpackhi_epi16(a, b),
                    }
                }
            }

            #[inline(always)]
            unsafe fn pack(self, [a, b, c, d]: [__m256i; 4], scaling: Scaling) -> __m256i {
                // SAFETY: the caller guarantees readable factors; `self` proves the instruction set.
                unsafe {
                    let second = words([c, d], scaling.from(2 * Self::LANES));
                    bytes(words([a, b], scaling), second, scaling)
                }
            }
        }
    };
}

quads_of_avx2!(Avx2, i16, write_words);
quads_of_avx2!(Avx2Bytes, u8, write_bytes);
quads_of_avx2!(Avx2Widened, i16, write_words);
quads_of_avx2!(AvxVnni, u8, write_bytes);

impl ColumnSimd for AvxVnni {
    #[inline(always)]
    fn dot_bytes(self, sums: __m256i, bytes: __m256i, weights: __m256i) -> __m256i {
        self.dot(sums, bytes, weights)
    }
}

/// # Safety
/// The machine has AVX2; there is room for the bytes.
#[inline(always)]
unsafe fn write_bytes(to: &[*mut u8], bytes: __m256i) {
    // SAFETY: the caller's guarantee.
    unsafe {
        match *to {
            [all] => _mm256_storeu_si256(all.cast(), bytes),
            [low, high] => _mm256_storeu2_m128i(high.cast(), low.cast(), bytes),
            _ => {}
        }
    }
}

/// # Safety
/// The machine has AVX2; there is room for 16 bits of each byte.
#[inline(always)]
unsafe fn write_words(to: &[*mut i16], bytes: __m256i) {
    // SAFETY: the caller's guarantee.
    unsafe {
        let low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes));
        let high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(bytes));
        let [first, second] = match *to {
            [all] => [all, all.add(16)],
            [first, second] => [first, second],
            _ => return,
        };
        _mm256_storeu_si256(first.cast(), low);
        _mm256_storeu_si256(second.cast(), high);
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
