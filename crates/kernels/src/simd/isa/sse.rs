//! What the two x86-64 instruction sets share: work on 4 values, which SSE, part of the baseline,
//! suffices for.

use std::arch::x86_64::*;

/// [`crate::simd::Simd::transpose`].
///
/// # Safety
/// As for that method.
#[inline(always)]
pub(super) unsafe fn transpose(
    from: *const f32,
    from_stride: usize,
    scales: *const f32,
    to: *mut f32,
    to_stride: usize,
) {
    // SAFETY: the caller guarantees that the rows are readable and writable; SSE is part of the
    // baseline.
    unsafe {
        let scales = _mm_loadu_ps(scales);
        let mut a = _mm_loadu_ps(from);
        let mut b = _mm_loadu_ps(from.add(from_stride));
        let mut c = _mm_loadu_ps(from.add(2 * from_stride));
        let mut d = _mm_loadu_ps(from.add(3 * from_stride));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (i, row) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to.add(i * to_stride), _mm_mul_ps(row, scales));
        }
    }
}
