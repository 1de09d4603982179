//! WebAssembly with SIMD: 4 sums, two products of 16 bits at a time.

use std::arch::wasm32::*;

use super::vector::{IntegerKernel, IntegerSimd};

/// The module was compiled with the instructions, so an engine without them refuses all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wasm128;

#[inline(never)]
fn enter<K: IntegerKernel>(simd: Wasm128, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl IntegerSimd for Wasm128 {
    type Sums = v128;
    type Left = v128;
    type Right = v128;
    type Pairs = v128;
    type Value = i16;
    type Weight = i16;
    const LANES: usize = 4;
    const DEPTH: usize = 2;
    const TILE: usize = 4;
    const PANEL: usize = 2;
    const WHOLE: i32 = i16::MAX as i32;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> Self::Sums {
        // SAFETY: the caller guarantees readable values; any alignment is allowed.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, sums: Self::Sums) {
        // SAFETY: the caller guarantees writable values; any alignment is allowed.
        unsafe { v128_store(to.cast(), sums) }
    }

    #[inline(always)]
    unsafe fn left(self, from: *const i16) -> Self::Left {
        // SAFETY: the caller guarantees two readable values; any alignment is allowed.
        unsafe { v128_load32_splat(from.cast()) }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i16) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; any alignment is allowed.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        i32x4_add(sums, i32x4_dot_i16x8(left, right))
    }

    #[inline(always)]
    unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs {
        // SAFETY: the caller guarantees four readable bytes each; any alignment is allowed.
        let (a, b) = unsafe { (v128_load32_zero(a.cast()), v128_load32_zero(b.cast())) };
        u16x8_extend_low_u8x16(i8x16_shuffle::<
            0,
            16,
            1,
            17,
            2,
            18,
            3,
            19,
            8,
            8,
            8,
            8,
            8,
            8,
            8,
            8,
        >(a, b))
    }

    #[inline(always)]
    unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs {
        // SAFETY: the caller guarantees readable weights; any alignment is allowed.
        unsafe { v128_load(from.cast()) }
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
        low: f32,
        high: f32,
    ) -> Self::Sums {
        // SAFETY: the caller guarantees readable factors; any alignment is allowed.
        let factors = unsafe { v128_load(factors.cast()) };
        let numbers = f32x4_mul(f32x4_convert_i32x4(sums), factors);
        // Sums and factors are finite, so there is no NaN.
        let numbers = f32x4_pmin(f32x4_pmax(numbers, f32x4_splat(low)), f32x4_splat(high));
        let rounded = f32x4_nearest(numbers);
        // In range, so that the relaxed instruction is exact.
        #[cfg(target_feature = "relaxed-simd")]
        return i32x4_relaxed_trunc_f32x4(rounded);
        #[cfg(not(target_feature = "relaxed-simd"))]
        i32x4_trunc_sat_f32x4(rounded)
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, value: i32) -> Self::Sums {
        i32x4_add(sums, i32x4_splat(value))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
        let words = i16x8_narrow_i32x4(sums, sums);
        let bytes = u8x16_narrow_i16x8(words, words);
        // SAFETY: the caller guarantees `count` writable bytes; any alignment is allowed.
        unsafe {
            if count == Self::LANES {
                v128_store32_lane::<0>(bytes, to.cast());
            } else {
                let bytes = i32x4_extract_lane::<0>(bytes).to_le_bytes();
                to.copy_from_nonoverlapping(bytes.as_ptr(), count.min(bytes.len()));
            }
        }
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut i16, sums: Self::Sums, count: usize) {
        let words = i16x8_narrow_i32x4(sums, sums);
        // SAFETY: the caller guarantees `count` writable values; any alignment is allowed.
        unsafe {
            if count == Self::LANES {
                v128_store64_lane::<0>(words, to.cast());
            } else {
                let bytes = i64x2_extract_lane::<0>(words).to_le_bytes();
                let bytes_of_values = 2 * count.min(Self::LANES);
                to.cast::<u8>()
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes_of_values);
            }
        }
    }
}
