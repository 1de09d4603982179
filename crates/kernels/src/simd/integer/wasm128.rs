//! WebAssembly with SIMD: 4 sums, two products of 16 bits at a time. With relaxed SIMD, four products
//! of bytes at a time: only for machines whose dot product takes all unsigned bytes and does not
//! saturate. What loads the module must try that out (`web/engine.js`).

use std::arch::wasm32::*;

use super::vector::{IntegerKernel, IntegerSimd};

/// The module was compiled with the instructions, so an engine without them refuses all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wasm128;

/// What a value and a weight are kept as.
#[cfg(target_feature = "relaxed-simd")]
type Operand = u8;
#[cfg(target_feature = "relaxed-simd")]
type Factor = i8;
#[cfg(not(target_feature = "relaxed-simd"))]
type Operand = i16;
#[cfg(not(target_feature = "relaxed-simd"))]
type Factor = i16;

#[inline(never)]
fn enter<K: IntegerKernel>(simd: Wasm128, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl IntegerSimd for Wasm128 {
    type Sums = v128;
    type Left = v128;
    type Right = v128;
    type Pairs = v128;
    type Value = Operand;
    type Weight = Factor;
    const LANES: usize = 4;
    const DEPTH: usize = 4 / size_of::<Operand>();
    const TILE: usize = 4;
    const PANEL: usize = 2;
    const WHOLE: i32 = Factor::MAX as i32;

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
    unsafe fn left(self, from: *const Operand) -> Self::Left {
        // SAFETY: the caller guarantees 32 readable bits of values; any alignment is allowed.
        unsafe { v128_load32_splat(from.cast()) }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const Factor) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; any alignment is allowed.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        #[cfg(target_feature = "relaxed-simd")]
        return i32x4_relaxed_dot_i8x16_i7x16_add(right, left, sums);
        #[cfg(not(target_feature = "relaxed-simd"))]
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
        i32x4_add(sums, i32x4_dot_i16x8(bytes, weights))
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

    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn store_values(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: the caller's guarantee is the same.
        unsafe { self.store_bytes(to, sums, count) }
    }

    #[cfg(not(target_feature = "relaxed-simd"))]
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
