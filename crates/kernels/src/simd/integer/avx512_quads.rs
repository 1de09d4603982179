//! x86-64 with AVX-512: 64 bytes of rows, interleaved and packed.

use std::arch::x86_64::*;

use super::quads::{ColumnSimd, QuadSimd};
use super::rounding::Scaling;
use super::vector::IntegerSimd;
use super::vnni::{Avx512Vnni, pack};

impl QuadSimd for Avx512Vnni {
    #[inline(always)]
    unsafe fn read<const N: usize>(self, from: [*const u8; N]) -> __m512i {
        // SAFETY: the caller guarantees readable bytes; `self` proves the instruction set.
        unsafe {
            match *from.as_slice() {
                [all] => _mm512_loadu_si512(all.cast()),
                [low, high] => {
                    let low = _mm512_castsi256_si512(_mm256_loadu_si256(low.cast()));
                    _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(high.cast()))
                }
                [a, b, c, d] => {
                    let bytes = _mm512_castsi128_si512(_mm_loadu_si128(a.cast()));
                    let bytes = _mm512_inserti32x4::<1>(bytes, _mm_loadu_si128(b.cast()));
                    let bytes = _mm512_inserti32x4::<2>(bytes, _mm_loadu_si128(c.cast()));
                    _mm512_inserti32x4::<3>(bytes, _mm_loadu_si128(d.cast()))
                }
                _ => _mm512_setzero_si512(),
            }
        }
    }

    #[inline(always)]
    unsafe fn write<const N: usize>(self, to: [*mut u8; N], bytes: __m512i) {
        // SAFETY: the caller guarantees writable bytes; `self` proves the instruction set.
        unsafe {
            match *to.as_slice() {
                [all] => _mm512_storeu_si512(all.cast(), bytes),
                [low, high] => {
                    _mm256_storeu_si256(low.cast(), _mm512_castsi512_si256(bytes));
                    _mm256_storeu_si256(high.cast(), _mm512_extracti64x4_epi64::<1>(bytes));
                }
                [a, b, c, d] => {
                    _mm_storeu_si128(a.cast(), _mm512_castsi512_si128(bytes));
                    _mm_storeu_si128(b.cast(), _mm512_extracti32x4_epi32::<1>(bytes));
                    _mm_storeu_si128(c.cast(), _mm512_extracti32x4_epi32::<2>(bytes));
                    _mm_storeu_si128(d.cast(), _mm512_extracti32x4_epi32::<3>(bytes));
                }
                _ => {}
            }
        }
    }

    #[inline(always)]
    unsafe fn write_values<const N: usize>(self, to: [*mut u8; N], bytes: __m512i) {
        // SAFETY: the caller's guarantee.
        unsafe { self.write(to, bytes) }
    }

    #[inline(always)]
    fn zeros(self) -> __m512i {
        // SAFETY: `self` exists, so the machine has the instruction set, here and below.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn zip_bytes<const SECOND: bool>(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe {
            match SECOND {
                false => _mm512_unpacklo_epi8(a, b),
                true => _mm512_unpackhi_epi8(a, b),
            }
        }
    }

    #[inline(always)]
    fn zip_words<const SECOND: bool>(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe {
            match SECOND {
                false => _mm512_unpacklo_epi16(a, b),
                true => _mm512_unpackhi_epi16(a, b),
            }
        }
    }

    #[inline(always)]
    unsafe fn pack(self, sums: [__m512i; 4], scaling: Scaling) -> __m512i {
        // SAFETY: the caller's guarantee; `self` proves the instruction set.
        unsafe { pack(sums, scaling) }
    }
}

impl ColumnSimd for Avx512Vnni {
    #[inline(always)]
    fn dot_bytes(self, sums: __m512i, bytes: __m512i, weights: __m512i) -> __m512i {
        self.dot(sums, bytes, weights)
    }
}
