//! AArch64 with NEON, which is part of its baseline: 8 sums, products of signed bytes.
//!
//! Bytes become signed by subtracting 128, which sums begin with. Two products of a signed byte and
//! a weight from -127 to 127 fit 16 bits together.

use std::arch::aarch64::*;

use super::vector::{IntegerKernel, IntegerSimd};

/// A byte minus 128.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Signed(i8);

impl From<u8> for Signed {
    #[inline(always)]
    fn from(byte: u8) -> Self {
        Self((byte ^ 0x80) as i8)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon;

#[inline(never)]
fn enter<K: IntegerKernel>(simd: Neon, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// The sums, which are from 0 to 255, as bytes.
#[inline(always)]
fn narrow([low, high]: [int32x4_t; 2]) -> uint8x8_t {
    // SAFETY: NEON is part of AArch64's baseline.
    unsafe {
        let words = vcombine_s16(vmovn_s32(low), vmovn_s32(high));
        vmovn_u16(vreinterpretq_u16_s16(words))
    }
}

/// Stores the first `count` bytes.
///
/// # Safety
/// They must be writable.
#[inline(always)]
unsafe fn store_some(to: *mut u8, bytes: uint8x8_t, count: usize) {
    // SAFETY: the caller's guarantee; NEON is part of the baseline.
    unsafe {
        if count == Neon::LANES {
            vst1_u8(to, bytes);
        } else {
            let mut all = [0u8; Neon::LANES];
            vst1_u8(all.as_mut_ptr(), bytes);
            to.copy_from_nonoverlapping(all.as_ptr(), count.min(all.len()));
        }
    }
}

impl IntegerSimd for Neon {
    type Sums = [int32x4_t; 2];
    /// The first two values and the last two, four times each.
    type Left = [int8x8_t; 2];
    /// Two weights of four lanes each: of the first and the last values, and the same of the other
    /// lanes.
    type Right = [int8x8_t; 4];
    /// The bytes, and the others.
    type Pairs = [int16x8_t; 2];
    type Value = Signed;
    type Weight = i8;
    const LANES: usize = 8;
    const DEPTH: usize = 4;
    const TILE: usize = 4;
    const PANEL: usize = 2;
    const WHOLE: i32 = 127;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> Self::Sums {
        // SAFETY: the caller guarantees readable values; NEON is part of the baseline.
        unsafe { [vld1q_s32(from), vld1q_s32(from.add(4))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, [low, high]: Self::Sums) {
        // SAFETY: the caller guarantees writable values; NEON is part of the baseline.
        unsafe {
            vst1q_s32(to, low);
            vst1q_s32(to.add(4), high);
        }
    }

    #[inline(always)]
    unsafe fn left(self, from: *const Signed) -> Self::Left {
        // SAFETY: the caller guarantees four readable values; NEON is part of the baseline.
        unsafe {
            let from: *const i16 = from.cast();
            [from, from.add(1)].map(|from| vreinterpret_s8_s16(vdup_n_s16(from.read_unaligned())))
        }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i8) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; NEON is part of the baseline.
        unsafe { std::array::from_fn(|part| vld1_s8(from.add(8 * part))) }
    }

    #[inline(always)]
    fn dot(self, [low, high]: Self::Sums, [a, b]: Self::Left, right: Self::Right) -> Self::Sums {
        let [first, second, other_first, other_second] = right;
        // SAFETY: NEON is part of the baseline.
        unsafe {
            let products = vmlal_s8(vmull_s8(a, first), b, second);
            let others = vmlal_s8(vmull_s8(a, other_first), b, other_second);
            [vpadalq_s16(low, products), vpadalq_s16(high, others)]
        }
    }

    fn take(rest: &mut [i32], taken: &mut [i8]) {
        for (rest, taken) in rest.iter_mut().zip(taken) {
            *taken = (*rest).clamp(-127, 127) as i8;
            *rest -= i32::from(*taken);
        }
    }

    #[inline(always)]
    fn packed(lane: usize, depth: usize) -> usize {
        lane / 4 * 16 + depth / 2 * 8 + lane % 4 * 2 + depth % 2
    }

    #[inline(always)]
    unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs {
        // SAFETY: the caller guarantees readable bytes; NEON is part of the baseline.
        unsafe { [a, b].map(|from| vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from)))) }
    }

    #[inline(always)]
    unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs {
        // SAFETY: the caller guarantees readable weights; NEON is part of the baseline.
        unsafe {
            let weights = vld2q_s16(from);
            [weights.0, weights.1]
        }
    }

    #[inline(always)]
    fn dot_pairs(
        self,
        [mut low, mut high]: Self::Sums,
        bytes: Self::Pairs,
        weights: Self::Pairs,
    ) -> Self::Sums {
        for (bytes, weights) in bytes.into_iter().zip(weights) {
            // SAFETY: NEON is part of the baseline.
            unsafe {
                low = vmlal_s16(low, vget_low_s16(bytes), vget_low_s16(weights));
                high = vmlal_high_s16(high, bytes, weights);
            }
        }
        [low, high]
    }

    #[inline(always)]
    unsafe fn scale(
        self,
        [a, b]: Self::Sums,
        factors: *const f32,
        [low, high]: [f32; 2],
        zero_point: i32,
    ) -> Self::Sums {
        // SAFETY: the caller guarantees readable factors; NEON is part of the baseline.
        unsafe {
            [(a, factors), (b, factors.add(4))].map(|(sums, factors)| {
                let numbers = vmulq_f32(vcvtq_f32_s32(sums), vld1q_f32(factors));
                let numbers = vmaxq_f32(numbers, vdupq_n_f32(low));
                let steps = vcvtnq_s32_f32(vminq_f32(numbers, vdupq_n_f32(high)));
                vaddq_s32(steps, vdupq_n_s32(zero_point))
            })
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: the caller guarantees `count` writable bytes.
        unsafe { store_some(to, narrow(sums), count) }
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut Signed, sums: Self::Sums, count: usize) {
        // SAFETY: the caller guarantees `count` writable values; NEON is part of the baseline.
        unsafe {
            let signed = veor_u8(narrow(sums), vdup_n_u8(0x80));
            store_some(to.cast(), signed, count);
        }
    }
}
