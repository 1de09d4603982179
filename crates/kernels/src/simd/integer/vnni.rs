//! x86-64 with AVX-512 VNNI: 16 sums, four products of bytes at a time. Where the machine has AMX, that
//! multiplies the blocks that it takes.

use std::arch::x86_64::*;

use super::amx::Amx;
use super::quads;
use super::rounding::Scaling;
use super::row::{Row, Target};
use super::vector::{IntegerKernel, IntegerSimd, byte_steps, store_vectors};

/// Proof that the machine has AVX-512 with VNNI, and perhaps AMX.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512Vnni(Option<Amx>);

impl Avx512Vnni {
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        has.then_some(Self(None))
    }

    /// The same with AMX.
    pub(crate) fn detect_amx() -> Option<Self> {
        let amx = Amx::detect()?;
        Self::detect().map(|_| Self(Some(amx)))
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn enter<K: IntegerKernel>(simd: Avx512Vnni, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// The sums of four vectors as bytes: in each quarter four of each of them.
///
/// # Safety
/// The machine has AVX-512; there are factors for the vectors.
#[inline(always)]
pub(super) unsafe fn pack(sums: [__m512i; 4], scaling: Scaling) -> __m512i {
    let [_, high] = scaling.bounds;
    // SAFETY: the caller's guarantee.
    unsafe {
        let mut steps = [_mm512_setzero_si512(); 4];
        for (v, (steps, sums)) in steps.iter_mut().zip(sums).enumerate() {
            let factors = _mm512_loadu_ps(scaling.factors.add(16 * v));
            let numbers = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), factors);
            *steps = _mm512_cvtps_epi32(_mm512_min_ps(numbers, _mm512_set1_ps(high)));
        }
        let [a, b, c, d] = steps;
        let zero_point = _mm512_set1_epi16(scaling.zero_point as i16);
        let first = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point);
        let second = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point);
        // What is too low has saturated.
        let least = _mm512_set1_epi8(scaling.least_byte() as i8);
        _mm512_max_epu8(_mm512_packus_epi16(first, second), least)
    }
}

impl IntegerSimd for Avx512Vnni {
    type Sums = __m512i;
    type Left = __m512i;
    type Right = __m512i;
    type Pairs = __m512i;
    type Value = u8;
    type Weight = i8;
    const LANES: usize = 16;
    const DEPTH: usize = 4;
    const TILE: usize = 6;
    const PANEL: usize = 4;
    const WHOLE: i32 = 127;

    #[inline(always)]
    fn vectorize<K: IntegerKernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { enter(self, kernel) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> Self::Sums {
        // SAFETY: the caller guarantees readable values; `self` proves the instruction set.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, sums: Self::Sums) {
        // SAFETY: the caller guarantees writable values; `self` proves the instruction set.
        unsafe { _mm512_storeu_si512(to.cast(), sums) }
    }

    #[inline(always)]
    unsafe fn left(self, from: *const u8) -> Self::Left {
        // SAFETY: the caller guarantees four readable bytes; `self` proves the instruction set.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn right(self, from: *const i8) -> Self::Right {
        // SAFETY: the caller guarantees readable weights; `self` proves the instruction set.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm512_dpbusd_epi32(sums, left, right) }
    }

    #[inline(always)]
    fn begin_blocks(self, stride: usize) -> Option<usize> {
        self.0?.begin(stride)
    }

    #[inline(always)]
    fn end_blocks(self) {
        if let Some(amx) = self.0 {
            amx.end();
        }
    }

    #[inline(always)]
    unsafe fn block(
        self,
        depth: usize,
        pixels: (*const u8, usize),
        weights: *const i8,
        start: *const i32,
        sums: *mut i32,
    ) {
        if let Some(amx) = self.0 {
            // SAFETY: the caller's guarantee.
            unsafe { amx.block(depth, pixels, weights, start, sums) }
        }
    }

    #[inline(always)]
    unsafe fn column(self, rows: [*const u8; 3]) -> Option<Self::Left> {
        // SAFETY: the caller guarantees readable bytes; `self` proves the instruction set.
        unsafe {
            let [a, b, c] = rows.map(|row| _mm512_cvtepu8_epi32(_mm_loadu_si128(row.cast())));
            let (b, c) = (_mm512_slli_epi32::<8>(b), _mm512_slli_epi32::<16>(c));
            Some(_mm512_or_si512(_mm512_or_si512(a, b), c))
        }
    }

    #[inline(always)]
    unsafe fn depthwise_quads(self, row: &Row<'_>, target: Target<Self::Value>) -> bool {
        // SAFETY: the caller's guarantee.
        unsafe { quads::columns_or_pairs(self, row, target) }
    }

    #[inline(always)]
    unsafe fn pairs(self, a: *const u8, b: *const u8) -> Self::Pairs {
        // SAFETY: the caller guarantees readable bytes; `self` proves the instruction set.
        unsafe {
            let (a, b) = (_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast()));
            // Each 32 bits: a byte of `a`, 0, a byte of `b`, 0.
            let (a, b) = (_mm512_cvtepu8_epi32(a), _mm512_cvtepu8_epi32(b));
            _mm512_or_si512(a, _mm512_slli_epi32::<16>(b))
        }
    }

    #[inline(always)]
    unsafe fn pairs_of_weights(self, from: *const i16) -> Self::Pairs {
        // SAFETY: the caller guarantees readable weights; `self` proves the instruction set.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, bytes: Self::Pairs, weights: Self::Pairs) -> Self::Sums {
        // SAFETY: `self` exists, so the machine has the instruction set.
        unsafe { _mm512_dpwssd_epi32(sums, bytes, weights) }
    }

    #[inline(always)]
    unsafe fn scale(
        self,
        sums: Self::Sums,
        factors: *const f32,
        [low, high]: [f32; 2],
        zero_point: i32,
    ) -> Self::Sums {
        // SAFETY: the caller guarantees readable factors; `self` proves the instruction set.
        unsafe {
            let numbers = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(factors));
            let numbers = _mm512_max_ps(numbers, _mm512_set1_ps(low));
            let steps = _mm512_cvtps_epi32(_mm512_min_ps(numbers, _mm512_set1_ps(high)));
            _mm512_add_epi32(steps, _mm512_set1_epi32(zero_point))
        }
    }

    #[inline(always)]
    unsafe fn quantize(self, numbers: *const f32, factor: f32, zero_point: i32) -> Self::Sums {
        let [low, high] = byte_steps(zero_point);
        // SAFETY: the caller guarantees readable numbers; `self` proves the instruction set.
        unsafe {
            let steps = _mm512_mul_ps(_mm512_loadu_ps(numbers), _mm512_set1_ps(factor));
            let is_number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(steps, steps);
            let steps = _mm512_max_ps(steps, _mm512_set1_ps(low));
            let steps = _mm512_min_ps(steps, _mm512_set1_ps(high));
            let steps = _mm512_maskz_cvtps_epi32(is_number, steps);
            _mm512_add_epi32(steps, _mm512_set1_epi32(zero_point))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: the caller guarantees `count` writable bytes; `self` proves the instruction set.
        unsafe {
            if count == Self::LANES {
                _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(sums));
            } else {
                let mask = (1u32 << count) - 1;
                _mm512_mask_cvtepi32_storeu_epi8(to.cast(), mask as u16, sums);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_pixel<const V: usize>(
        self,
        to: *mut u8,
        sums: [Self::Sums; V],
        scaling: Scaling,
        [first, channels]: [usize; 2],
    ) {
        if let ([a, b, c, d], true) = (sums.as_slice(), channels == 4 * Self::LANES) {
            // SAFETY: the caller guarantees 64 writable bytes; `self` proves the instruction set.
            unsafe {
                let bytes = pack([*a, *b, *c, *d], scaling.from(first));
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                _mm512_storeu_si512(to.cast(), _mm512_permutexvar_epi32(order, bytes));
            }
            return;
        }
        // SAFETY: the caller's guarantee.
        unsafe { store_vectors(self, to, sums, scaling, [first, channels]) }
    }

    #[inline(always)]
    unsafe fn store_values(self, to: *mut u8, sums: Self::Sums, count: usize) {
        // SAFETY: the caller's guarantee is that of `store_bytes`.
        unsafe { self.store_bytes(to, sums, count) }
    }
}
