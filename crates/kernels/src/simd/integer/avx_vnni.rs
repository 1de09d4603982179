//! x86-64 with AVX-VNNI: 8 sums, four products of bytes at a time.

use std::arch::x86_64::*;

use super::avx2::{Avx2, sums_of_avx2};
use super::quads;
use super::rounding::Scaling;
use super::row::{Row, Target};
use super::vector::{IntegerKernel, IntegerSimd};

/// Proof that the machine has AVX2 and AVX-VNNI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AvxVnni(Avx2);

impl AvxVnni {
    pub(crate) fn detect() -> Option<Self> {
        let avx2 = Avx2::detect()?;
        is_x86_feature_detected!("avxvnni").then_some(Self(avx2))
    }
}

#[inline(never)]
#[target_feature(enable = "avx2,avxvnni")]
fn enter<K: IntegerKernel>(simd: AvxVnni, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl IntegerSimd for AvxVnni {
    type Sums = __m256i;
    type Left = __m256i;
    type Right = __m256i;
    type Pairs = __m256i;
    type Value = u8;
    type Weight = i8;
    const LANES: usize = 8;
    const DEPTH: usize = 4;
    const TILE: usize = 6;
    const PANEL: usize = 2;
    const WHOLE: i32 = 127;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { enter(self, kernel) }
    }

    sums_of_avx2!(columns_or_pairs);

    #[inline(always)]
    unsafe fn left(self, from: *const u8) -> Self::Left {
        // SAFETY: the caller guarantees four readable bytes; `self` proves the instruction set.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i8) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; `self` proves the instruction set.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_dpbusd_avx_epi32(sums, left, right) }
    }

    #[inline(always)]
    unsafe fn column(self, rows: [*const u8; 3]) -> Option<Self::Left> {
        // SAFETY: the caller guarantees readable bytes; `self` proves the instruction set.
        unsafe {
            let [a, b, c] = rows.map(|row| _mm256_cvtepu8_epi32(_mm_loadl_epi64(row.cast())));
            let (b, c) = (_mm256_slli_epi32::<8>(b), _mm256_slli_epi32::<16>(c));
            Some(_mm256_or_si256(_mm256_or_si256(a, b), c))
        }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_dpwssd_avx_epi32(sums, bytes, weights) }
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: the caller's guarantee.
        unsafe { self.0.store_bytes(to, sums, count) }
    }
}
