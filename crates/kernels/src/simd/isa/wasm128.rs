//! WebAssembly with SIMD: vectors of 4 values; an engine on x86-64 has 16 registers for them. With
//! relaxed SIMD, the multiply-add is one instruction where the processor has one.

use std::arch::wasm32::*;

use half::{bf16, f16};

use crate::simd::{Kernel, Simd};

/// The module was compiled with the instructions, so an engine without them refuses all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wasm128;

#[inline(never)]
fn enter<K: Kernel>(simd: Wasm128, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Simd for Wasm128 {
    type Vector = v128;
    const LANES: usize = 4;
    // An engine on x86-64 has 15 registers: 12 sums, two vectors of weights, and a value. That is one
    // value at a time, so loads must stay in the source's order, as `cargo xtask web` tells LLVM;
    // otherwise the engine keeps sums in memory. With plain SIMD, a product needs a register, too. The
    // file with threads has more code, and smaller tiles.
    const TILE: usize = if cfg!(all(
        target_feature = "relaxed-simd",
        not(target_feature = "atomics")
    )) {
        6
    } else {
        4
    };
    const PANEL: usize = 2;
    const OUTER_ROWS: usize = 4;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        f32x4_splat(value)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller guarantees readable values; any alignment is allowed.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Vector {
        // SAFETY: the caller guarantees `LANES` readable values.
        let [a, b, c, d] = unsafe { from.cast::<[f16; 4]>().read() }.map(f16::to_f32_const);
        f32x4(a, b, c, d)
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Vector {
        // SAFETY: the caller guarantees `LANES` readable values; any alignment is allowed.
        let halves = unsafe { u32x4_load_extend_u16x4(from.cast()) };
        u32x4_shl(halves, 16)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller guarantees writable values; any alignment is allowed.
        unsafe { v128_store(to.cast(), vector) }
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
        // SAFETY: the caller guarantees that the rows are readable and writable.
        unsafe {
            let scales = v128_load(scales.cast());
            let load = |l: usize| v128_load(from.add(l * from_stride).cast());
            let [a, b, c, d] = [load(0), load(1), load(2), load(3)];
            // The first values of two rows side by side, then their second ones; and so on.
            let (ab, cd) = (
                i32x4_shuffle::<0, 4, 1, 5>(a, b),
                i32x4_shuffle::<0, 4, 1, 5>(c, d),
            );
            let (ef, gh) = (
                i32x4_shuffle::<2, 6, 3, 7>(a, b),
                i32x4_shuffle::<2, 6, 3, 7>(c, d),
            );
            let rows = [
                i64x2_shuffle::<0, 2>(ab, cd),
                i64x2_shuffle::<1, 3>(ab, cd),
                i64x2_shuffle::<0, 2>(ef, gh),
                i64x2_shuffle::<1, 3>(ef, gh),
            ];
            for (i, row) in rows.into_iter().enumerate() {
                v128_store(to.add(i * to_stride).cast(), f32x4_mul(row, scales));
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        f32x4_sub(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        #[cfg(target_feature = "relaxed-simd")]
        return f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        f32x4_add(f32x4_mul(a, b), c)
    }

    #[inline(always)]
    fn clamp(self, v: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector {
        // NaN stays. `max` and `min` also let it through, but take six instructions each on x86-64,
        // where these take one.
        #[cfg(not(target_feature = "relaxed-simd"))]
        return f32x4_pmin(f32x4_pmax(v, low), high);
        // LLVM would make relaxed instructions of those, and give them NaN as the operand that may be
        // lost.
        #[cfg(target_feature = "relaxed-simd")]
        f32x4_relaxed_min(high, f32x4_relaxed_max(low, v))
    }

    #[inline(always)]
    fn floor(self, v: Self::Vector) -> Self::Vector {
        f32x4_floor(v)
    }

    #[inline(always)]
    fn gate(
        self,
        v: Self::Vector,
        y: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector {
        v128_and(v, v128_and(f32x4_lt(low, y), f32x4_lt(y, high)))
    }

    #[inline(always)]
    fn prefetch<T>(self, _: *const T) {
        // There is no such instruction.
    }

    #[inline(always)]
    fn prefetch_near<T>(self, _: *const T) {}
}
