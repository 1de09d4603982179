//! AArch64 with NEON, which is part of its baseline: 32 registers of 4 values.

use std::arch::aarch64::*;
use std::arch::asm;

use half::{bf16, f16};

use crate::simd::{Kernel, Simd};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon;

#[inline(never)]
fn enter<K: Kernel>(simd: Neon, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Simd for Neon {
    type Vector = float32x4_t;
    const LANES: usize = 4;
    // With 6 pixels, LLVM keeps four values of each in a register, and sums go to the stack: 76 % of
    // the peak in place of 97 % by llvm-mca (docs/benchmarks/aarch64.md).
    const TILE: usize = 5;
    const PANEL: usize = 4;
    const OUTER_ROWS: usize = 4;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        // SAFETY: NEON is part of AArch64's baseline.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; NEON is part of the baseline.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; the instruction is part of
        // AArch64's baseline. It is written in assembly, because the intrinsic is newer than the
        // oldest compiler that we support.
        unsafe {
            let halves = vld1_u16(from.cast());
            let values: float32x4_t;
            asm!(
                "fcvtl {values:v}.4s, {halves:v}.4h",
                halves = in(vreg) halves,
                values = lateout(vreg) values,
                options(pure, nomem, nostack, preserves_flags),
            );
            values
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Vector {
        // SAFETY: the caller guarantees that the values are readable; NEON is part of the baseline.
        unsafe {
            let bits = vmovl_u16(vld1_u16(from.cast()));
            vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller guarantees that the values are writable; NEON is part of the baseline.
        unsafe { vst1q_f32(to, vector) }
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
        // SAFETY: the caller guarantees that the rows are readable and writable; NEON is part of the
        // baseline.
        unsafe {
            let scales = vld1q_f32(scales);
            // The first values of all rows, then their second ones, and so on.
            let load = |l: usize| vld1q_f32(from.add(l * from_stride));
            let (a, b) = (vtrnq_f32(load(0), load(1)), vtrnq_f32(load(2), load(3)));
            let low = |a, b| vcombine_f32(vget_low_f32(a), vget_low_f32(b));
            let high = |a, b| vcombine_f32(vget_high_f32(a), vget_high_f32(b));
            let rows = [low(a.0, b.0), low(a.1, b.1), high(a.0, b.0), high(a.1, b.1)];
            for (i, row) in rows.into_iter().enumerate() {
                vst1q_f32(to.add(i * to_stride), vmulq_f32(row, scales));
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: NEON is part of AArch64's baseline.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: NEON is part of AArch64's baseline.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: NEON is part of AArch64's baseline.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn clamp(self, v: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector {
        // These instructions propagate NaN.
        // SAFETY: NEON is part of AArch64's baseline.
        unsafe { vminq_f32(high, vmaxq_f32(low, v)) }
    }

    #[inline(always)]
    fn floor(self, v: Self::Vector) -> Self::Vector {
        // SAFETY: NEON is part of AArch64's baseline.
        unsafe { vrndmq_f32(v) }
    }

    #[inline(always)]
    fn gate(
        self,
        v: Self::Vector,
        y: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector {
        // SAFETY: NEON is part of AArch64's baseline.
        unsafe {
            let open = vandq_u32(vcltq_f32(low, y), vcltq_f32(y, high));
            vreinterpretq_f32_u32(vandq_u32(open, vreinterpretq_u32_f32(v)))
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, _: *const T) {
        // There is no stable intrinsic. The hardware's own prefetcher must suffice.
    }

    #[inline(always)]
    fn prefetch_near<T>(self, _: *const T) {}
}
