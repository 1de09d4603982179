//! Portable code on arrays, which the compiler may turn into vectors of the target's baseline.

use super::vector::{IntegerKernel, IntegerSimd};

/// As in the vectors of SSE2, x86-64's baseline.
const LANES: usize = 4;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar;

#[inline(never)]
fn enter<K: IntegerKernel>(simd: Scalar, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl IntegerSimd for Scalar {
    type Sums = [i32; LANES];
    type Left = [i16; 2];
    type Right = [[i16; 2]; LANES];
    type Pairs = [[i16; 2]; LANES];
    type Value = i16;
    type Weight = i16;
    const LANES: usize = LANES;
    const DEPTH: usize = 2;
    const TILE: usize = 2;
    const PANEL: usize = 2;
    const WHOLE: i32 = i16::MAX as i32;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> Self::Sums {
        // SAFETY: the caller guarantees `LANES` readable values.
        unsafe { from.cast::<Self::Sums>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, sums: Self::Sums) {
        // SAFETY: the caller guarantees `LANES` writable values.
        unsafe { to.cast::<Self::Sums>().write(sums) }
    }

    #[inline(always)]
    unsafe fn left(self, from: *const i16) -> Self::Left {
        // SAFETY: the caller guarantees two readable values.
        unsafe { from.cast::<Self::Left>().read() }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i16) -> Self::Right {
        // SAFETY: the caller guarantees the readable weights.
        unsafe { from.cast::<Self::Right>().read() }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, [a, b]: Self::Left, right: Self::Right) -> Self::Sums {
        std::array::from_fn(|lane| {
            let [x, y] = right[lane].map(i32::from);
            sums[lane].wrapping_add(i32::from(a) * x + i32::from(b) * y)
        })
    }

    #[inline(always)]
    unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs {
        // SAFETY: the caller guarantees readable bytes.
        let (a, b) = unsafe {
            (
                a.cast::<[u8; LANES]>().read(),
                b.cast::<[u8; LANES]>().read(),
            )
        };
        std::array::from_fn(|lane| [a[lane].into(), b[lane].into()])
    }

    #[inline(always)]
    unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs {
        // SAFETY: the caller guarantees readable weights.
        unsafe { from.cast::<Self::Pairs>().read() }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums {
        std::array::from_fn(|lane| {
            let ([a, b], [x, y]) = (bytes[lane], weights[lane]);
            let (a, b, x, y) = (i32::from(a), i32::from(b), i32::from(x), i32::from(y));
            sums[lane].wrapping_add(a * x + b * y)
        })
    }

    #[inline(always)]
    unsafe fn scale(
        self,
        sums: Self::Sums,
        factors: *const f32,
        [low, high]: [f32; 2],
        zero_point: i32,
    ) -> Self::Sums {
        // SAFETY: the caller guarantees readable factors.
        let factors = unsafe { factors.cast::<[f32; LANES]>().read() };
        std::array::from_fn(|lane| {
            let number = (sums[lane] as f32 * factors[lane]).max(low).min(high);
            zero_point.wrapping_add(number.round_ties_even() as i32)
        })
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
        for (lane, sum) in sums.into_iter().enumerate().take(count) {
            // SAFETY: the caller guarantees `count` writable bytes.
            unsafe { to.add(lane).write(sum as u8) }
        }
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut i16, sums: Self::Sums, count: usize) {
        for (lane, sum) in sums.into_iter().enumerate().take(count) {
            // SAFETY: the caller guarantees `count` writable values.
            unsafe { to.add(lane).write(sum as i16) }
        }
    }
}
