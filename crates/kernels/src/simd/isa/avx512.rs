//! x86-64 with AVX-512F: 32 registers of 16 values.

use std::arch::x86_64::*;

use half::{bf16, f16};

use crate::simd::{Kernel, Simd};

/// Proof that the machine has AVX-512F.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")).then_some(Self(()))
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f")]
fn enter<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Simd for Avx512 {
    type Vector = __m512;
    const LANES: usize = 16;
    const TILE: usize = 14;
    const PANEL: usize = 2;
    const OUTER_ROWS: usize = 8;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { enter(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; `self` proves the instruction
        // set.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; `self` proves the instruction
        // set.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; `self` proves the instruction
        // set.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller guarantees that the values are writable; `self` proves the instruction
        // set.
        unsafe { _mm512_storeu_ps(to, vector) }
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
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn clamp(self, v: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector {
        // If an operand is NaN, these instructions return the second one. That is `v`, so NaN
        // stays.
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm512_min_ps(high, _mm512_max_ps(low, v)) }
    }

    #[inline(always)]
    fn floor(self, v: Self::Vector) -> Self::Vector {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(v) }
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
            let above = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(low, y);
            let open = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, y, high);
            _mm512_maskz_mov_ps(open, v)
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
