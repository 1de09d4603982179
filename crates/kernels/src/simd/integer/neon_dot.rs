//! AArch64 with NEON's dot product: 8 sums, four products of signed bytes at a time.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{Neon, Signed};
use super::vector::{IntegerKernel, IntegerSimd};

/// Proof that the machine has the dot product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeonDot(Neon);

impl NeonDot {
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("dotprod").then_some(Self(Neon))
    }
}

#[inline(never)]
#[target_feature(enable = "dotprod")]
fn enter<K: IntegerKernel>(simd: NeonDot, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl IntegerSimd for NeonDot {
    type Sums = [int32x4_t; 2];
    type Left = int8x16_t;
    type Right = [int8x16_t; 2];
    type Pairs = [int16x8_t; 2];
    type Value = Signed;
    type Weight = i8;
    const LANES: usize = 8;
    const DEPTH: usize = 4;
    const TILE: usize = 4;
    const PANEL: usize = 2;
    const WHOLE: i32 = 127;
    const OFFSET: i32 = Neon::OFFSET;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so the machine has the instruction.
        unsafe { enter(self, kernel) }
    }

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
    unsafe fn left(self, from: *const Signed) -> Self::Left {
        // SAFETY: the caller guarantees four readable values; NEON is part of the baseline.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i8) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; NEON is part of the baseline.
        unsafe { [vld1q_s8(from), vld1q_s8(from.add(16))] }
    }

    #[inline(always)]
    fn dot(self, [low, high]: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        let dot = |sums: int32x4_t, weights: int8x16_t| {
            let mut sums = sums;
            // SAFETY: `self` exists, so the machine has the instruction. It is written in assembly,
            // because the intrinsic is newer than the oldest compiler that we support.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sums:v}.4s, {left:v}.16b, {weights:v}.16b",
                    sums = inout(vreg) sums,
                    left = in(vreg) left,
                    weights = in(vreg) weights,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            sums
        };
        [dot(low, right[0]), dot(high, right[1])]
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
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums {
        self.0.dot_pairs(sums, bytes, weights)
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
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: as above.
        unsafe { self.0.store_bytes(to, sums, count) }
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut Signed, sums: Self::Sums, count: usize) {
        // SAFETY: as above.
        unsafe { self.0.store_values(to, sums, count) }
    }
}
