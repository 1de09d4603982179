//! WebAssembly with SIMD: 8 sums in two vectors, two products of 16 bits at a time. With relaxed SIMD, four products
//! of bytes at a time: only for machines whose dot product takes all unsigned bytes and does not
//! saturate. What loads the module must try that out (`web/engine.js`).

use std::arch::wasm32::*;

use super::vector::{IntegerKernel, IntegerSimd, byte_steps};

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

/// Added to a number of less than 2^22 as f32, it leaves the nearest integer in the low bits, of two
/// the even one.
static SHIFT: f32 = f32::from_bits(SHIFT_BITS as u32);

/// 1.5 * 2^23.
const SHIFT_BITS: i32 = 12_582_912f32.to_bits() as i32;

/// Four numbers, limited, rounded, and plus the zero point. None of them is NaN.
#[inline(always)]
fn round(numbers: v128, [low, high]: [f32; 2], zero_point: i32) -> v128 {
    let numbers = f32x4_pmin(f32x4_pmax(numbers, f32x4_splat(low)), f32x4_splat(high));
    // Read, not written down: browsers make a vector of a constant anew wherever it is used.
    // SAFETY: it is a number that nobody writes.
    let shift = unsafe { (&raw const SHIFT).read_volatile() };
    let shifted = f32x4_add(numbers, f32x4_splat(shift));
    i32x4_add(shifted, i32x4_splat(zero_point.wrapping_sub(SHIFT_BITS)))
}

/// The first eight bytes of two vectors in turn.
#[cfg(target_feature = "relaxed-simd")]
#[inline(always)]
fn low_bytes(a: v128, b: v128) -> v128 {
    i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b)
}

/// The last eight.
#[cfg(target_feature = "relaxed-simd")]
#[inline(always)]
fn high_bytes(a: v128, b: v128) -> v128 {
    i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b)
}

/// The sums, which are from 0 to 255, as words.
#[inline(always)]
fn words([low, high]: [v128; 2]) -> v128 {
    i16x8_narrow_i32x4(low, high)
}

/// Stores the first `count` bytes of up to eight.
///
/// # Safety
/// They must be writable.
#[inline(always)]
unsafe fn store_some(to: *mut u8, bytes: v128, count: usize) {
    // SAFETY: the caller's guarantee; any alignment is allowed.
    unsafe {
        if count == Wasm128::LANES {
            v128_store64_lane::<0>(bytes, to.cast());
        } else {
            let mut all = [0u8; 16];
            v128_store(all.as_mut_ptr().cast(), bytes);
            to.copy_from_nonoverlapping(all.as_ptr(), count.min(all.len()));
        }
    }
}

impl IntegerSimd for Wasm128 {
    type Sums = [v128; 2];
    /// Those of the first four sums, and of the others.
    type Left = [v128; 2];
    type Right = [v128; 2];
    type Pairs = [v128; 2];
    type Value = Operand;
    type Weight = Factor;
    const LANES: usize = 8;
    const DEPTH: usize = 4 / size_of::<Operand>();
    const TILE: usize = if size_of::<Operand>() == 1 { 6 } else { 4 };
    const PANEL: usize = 1;
    const WHOLE: i32 = Factor::MAX as i32;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> Self::Sums {
        // SAFETY: the caller guarantees readable values; any alignment is allowed.
        unsafe { [v128_load(from.cast()), v128_load(from.add(4).cast())] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, [low, high]: Self::Sums) {
        // SAFETY: the caller guarantees writable values; any alignment is allowed.
        unsafe {
            v128_store(to.cast(), low);
            v128_store(to.add(4).cast(), high);
        }
    }

    #[inline(always)]
    unsafe fn left(self, from: *const Operand) -> Self::Left {
        // SAFETY: the caller guarantees 32 readable bits of values; any alignment is allowed.
        [unsafe { v128_load32_splat(from.cast()) }; 2]
    }

    #[inline(always)]
    unsafe fn right(self, from: *const Factor) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; any alignment is allowed.
        unsafe {
            [
                v128_load(from.cast()),
                v128_load(from.add(4 * Self::DEPTH).cast()),
            ]
        }
    }

    #[inline(always)]
    fn dot(self, [a, b]: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        let dot = |sums, left, right| {
            #[cfg(target_feature = "relaxed-simd")]
            return i32x4_relaxed_dot_i8x16_i7x16_add(right, left, sums);
            #[cfg(not(target_feature = "relaxed-simd"))]
            i32x4_add(sums, i32x4_dot_i16x8(left, right))
        };
        [dot(a, left[0], right[0]), dot(b, left[1], right[1])]
    }

    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    unsafe fn column(self, [a, b, c]: [*const u8; 3]) -> Option<Self::Left> {
        // SAFETY: the caller guarantees eight readable bytes each; any alignment is allowed.
        unsafe {
            let (a, c) = (v128_load64_zero(a.cast()), v128_load64_zero(c.cast()));
            let outer = low_bytes(a, c);
            // Bytes of the middle row, each with a 0.
            let middle = u16x8_load_extend_u8x8(b);
            Some([low_bytes(outer, middle), high_bytes(outer, middle)])
        }
    }

    #[inline(always)]
    unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs {
        // SAFETY: the caller guarantees eight readable bytes each; any alignment is allowed.
        let (a, b) = unsafe { (u16x8_load_extend_u8x8(a), u16x8_load_extend_u8x8(b)) };
        [
            i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b),
            i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b),
        ]
    }

    #[inline(always)]
    unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs {
        // SAFETY: the caller guarantees readable weights; any alignment is allowed.
        unsafe { [v128_load(from.cast()), v128_load(from.add(8).cast())] }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums {
        std::array::from_fn(|i| i32x4_add(sums[i], i32x4_dot_i16x8(bytes[i], weights[i])))
    }

    #[inline(always)]
    unsafe fn scale(
        self,
        [a, b]: Self::Sums,
        factors: *const f32,
        bounds: [f32; 2],
        zero_point: i32,
    ) -> Self::Sums {
        // SAFETY: the caller guarantees readable factors; any alignment is allowed.
        unsafe {
            [(a, factors), (b, factors.add(4))].map(|(sums, factors)| {
                // Sums and factors are finite.
                let numbers = f32x4_mul(f32x4_convert_i32x4(sums), v128_load(factors.cast()));
                round(numbers, bounds, zero_point)
            })
        }
    }

    #[inline(always)]
    unsafe fn quantize(self, numbers: *const f32, factor: f32, zero_point: i32) -> Self::Sums {
        // SAFETY: the caller guarantees readable numbers; any alignment is allowed.
        unsafe {
            [numbers, numbers.add(4)].map(|numbers| {
                let numbers = f32x4_mul(v128_load(numbers.cast()), f32x4_splat(factor));
                let numbers = v128_and(numbers, f32x4_eq(numbers, numbers));
                round(numbers, byte_steps(zero_point), zero_point)
            })
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
        let words = words(sums);
        // SAFETY: the caller's guarantee.
        unsafe { store_some(to, u8x16_narrow_i16x8(words, words), count) }
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
        let words = words(sums);
        // SAFETY: the caller guarantees `count` writable values; any alignment is allowed.
        unsafe {
            if count == Self::LANES {
                v128_store(to.cast(), words);
            } else {
                let mut all = [0i16; Self::LANES];
                v128_store(all.as_mut_ptr().cast(), words);
                to.copy_from_nonoverlapping(all.as_ptr(), count.min(all.len()));
            }
        }
    }
}
