//! x86-64 with AVX2, FMA and F16C: 16 registers of 8 values. Every machine with AVX2 has the other
//! two as well.

use std::arch::x86_64::*;

use half::{bf16, f16};

use crate::simd::{Kernel, Simd};

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Self(()))
    }
}

#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn enter<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    const TILE: usize = 6;
    const PANEL: usize = 2;
    const OUTER_ROWS: usize = 6;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { enter(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; `self` proves the instruction
        // set.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; `self` proves the instruction
        // set.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; `self` proves the instruction
        // set.
        unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller guarantees that the values are writable; `self` proves the instruction
        // set.
        unsafe { _mm256_storeu_ps(to, vector) }
    }

    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        scales: *const f32,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: the caller's guarantee is the same.
        unsafe { super::sse::transpose(from, from_stride, scales, to, to_stride) }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn clamp(self, v: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector {
        // If an operand is NaN, these instructions return the second one. That is `v`, so NaN
        // stays.
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_min_ps(high, _mm256_max_ps(low, v)) }
    }

    #[inline(always)]
    fn floor(self, v: Self::Vector) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm256_floor_ps(v) }
    }

    #[inline(always)]
    fn gate(
        self,
        v: Self::Vector,
        y: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe {
            let above = _mm256_cmp_ps::<_CMP_LT_OQ>(low, y);
            let below = _mm256_cmp_ps::<_CMP_LT_OQ>(y, high);
            _mm256_and_ps(v, _mm256_and_ps(above, below))
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, at: *const T) {
        // SAFETY: a prefetch reads nothing and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    fn prefetch_near<T>(self, at: *const T) {
        // SAFETY: a prefetch reads nothing and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
