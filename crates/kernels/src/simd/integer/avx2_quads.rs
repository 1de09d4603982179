//! x86-64 with AVX2: 32 bytes of rows, interleaved and packed.

use std::arch::x86_64::*;

use super::avx_vnni::AvxVnni;
use super::avx2::{Avx2, bytes, words};
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
