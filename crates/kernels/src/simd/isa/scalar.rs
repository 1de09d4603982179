//! Portable code on arrays, which the compiler may turn into vectors of the target's baseline.

use half::{bf16, f16};

use crate::simd::{Kernel, Simd};

/// As in the vectors of SSE2, x86-64's baseline. More make more code, and it is not faster.
const LANES: usize = 4;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar;

#[inline(never)]
fn enter<K: Kernel>(simd: Scalar, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Simd for Scalar {
    type Vector = [f32; LANES];
    const LANES: usize = LANES;
    const TILE: usize = 4;
    const PANEL: usize = 2;
    const OUTER_ROWS: usize = 2;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller guarantees `LANES` readable values; an array of f32 has the alignment
        // of f32.
        unsafe { from.cast::<Self::Vector>().read() }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Vector {
        // SAFETY: the caller guarantees `LANES` readable values.
        let values = unsafe { from.cast::<[f16; LANES]>().read() };
        values.map(f16::to_f32_const)
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Vector {
        // SAFETY: the caller guarantees `LANES` readable values.
        let values = unsafe { from.cast::<[bf16; LANES]>().read() };
        values.map(bf16::to_f32_const)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller guarantees `LANES` writable values.
        unsafe { to.cast::<Self::Vector>().write(vector) }
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
            for i in 0..4 {
                for l in 0..4 {
                    let value = *from.add(l * from_stride + i) * *scales.add(l);
                    to.add(i * to_stride + l).write(value);
                }
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // Not `f32::mul_add`, which calls libm where the target has no such instruction.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn clamp(self, v: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| {
            let v = if v[i] < low[i] { low[i] } else { v[i] };
            if v > high[i] { high[i] } else { v }
        })
    }

    #[inline(always)]
    fn floor(self, v: Self::Vector) -> Self::Vector {
        v.map(f32::floor)
    }

    #[inline(always)]
    fn gate(
        self,
        v: Self::Vector,
        y: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector {
        std::array::from_fn(|i| {
            if low[i] < y[i] && y[i] < high[i] {
                v[i]
            } else {
                0.0
            }
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, _: *const T) {}

    #[inline(always)]
    fn prefetch_near<T>(self, _: *const T) {}
}
