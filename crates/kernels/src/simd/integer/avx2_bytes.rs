//! x86-64 with AVX2: 8 sums, products of bytes that are added in 16 bits before they are widened.
//!
//! `vpmaddubsw` saturates. It is exact as long as the magnitudes of the weights that meet in one
//! 16-bit place sum to at most 128, because `255 * 128 = 32640`. The packer sees to that: what
//! exceeds it goes into extra steps.

use std::arch::x86_64::*;

use super::avx2::{Avx2, sums_of_avx2};
use super::quads;
use super::rounding::Scaling;
use super::row::{Row, Target};
use super::vector::{IntegerKernel, IntegerSimd};

/// Proof that the machine has AVX2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2Bytes(Avx2);

impl Avx2Bytes {
    pub(crate) fn detect() -> Option<Self> {
        Avx2::detect().map(Self)
    }
}

#[inline(never)]
#[target_feature(enable = "avx2")]
fn enter<K: IntegerKernel>(simd: Avx2Bytes, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Largest sum of magnitudes in a 16-bit place.
const CAPACITY: i32 = 128;

impl IntegerSimd for Avx2Bytes {
    type Sums = __m256i;
    /// Two times four bytes.
    type Left = [__m256i; 2];
    type Right = [__m256i; 2];
    type Pairs = __m256i;
    type Value = u8;
    type Weight = i8;
    const LANES: usize = 8;
    const DEPTH: usize = 8;
    const TILE: usize = 4;
    const PANEL: usize = 2;
    const WHOLE: i32 = CAPACITY / 4;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { enter(self, kernel) }
    }

    sums_of_avx2!(pairs);

    #[inline(always)]
    unsafe fn left(self, from: *const u8) -> Self::Left {
        // SAFETY: the caller guarantees eight readable bytes; `self` proves the instruction set.
        unsafe {
            let from: *const i32 = from.cast();
            [from, from.add(1)].map(|from| _mm256_set1_epi32(from.read_unaligned()))
        }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i8) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; `self` proves the instruction set.
        unsafe {
            let from: *const __m256i = from.cast();
            [from, from.add(1)].map(|from| _mm256_loadu_si256(from))
        }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe {
            let first = _mm256_maddubs_epi16(left[0], right[0]);
            let second = _mm256_maddubs_epi16(left[1], right[1]);
            let products = _mm256_add_epi16(first, second);
            let pairs = _mm256_madd_epi16(products, _mm256_set1_epi16(1));
            _mm256_add_epi32(sums, pairs)
        }
    }

    fn take(rest: &mut [i32], taken: &mut [i8]) {
        // Weights 0, 1, 4 and 5 meet in one place, the others in the second.
        let mut left = [CAPACITY; 2];
        for (depth, (rest, taken)) in rest.iter_mut().zip(taken).enumerate() {
            let left = &mut left[depth / 2 % 2];
            let most = (*left).min(127);
            let weight = (*rest).clamp(-most, most);
            *taken = weight as i8;
            *rest -= weight;
            *left -= weight.abs();
        }
    }

    #[inline(always)]
    fn least_steps(weights: &[i32]) -> i32 {
        let mut sums = [0; 2];
        for depth in 0..Self::DEPTH {
            sums[depth / 2 % 2] += weights[depth].abs();
        }
        (sums[0].max(sums[1]) + CAPACITY - 1) / CAPACITY
    }

    #[inline(always)]
    fn packed(lane: usize, depth: usize) -> usize {
        depth / 4 * 4 * Self::LANES + 4 * lane + depth % 4
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums {
        self.0.dot_pairs(sums, bytes, weights)
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: the caller's guarantee.
        unsafe { self.0.store_bytes(to, sums, count) }
    }
}
