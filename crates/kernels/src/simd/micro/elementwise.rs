//! Element-wise operations on any number of values.

use super::part::{load_part, store_part};
use crate::simd::Simd;

/// `output = clamp(input)` on `len` values.
pub(crate) struct Clamp {
    pub(crate) input: *const f32,
    pub(crate) bounds: (f32, f32),
    pub(crate) output: *mut f32,
    pub(crate) len: usize,
}

/// `output = gradient` where the input lies strictly between the bounds, 0 elsewhere.
pub(crate) struct ClampGradient {
    pub(crate) input: *const f32,
    pub(crate) gradient: *const f32,
    pub(crate) bounds: (f32, f32),
    pub(crate) output: *mut f32,
    pub(crate) len: usize,
}

/// `output += input * factor` on `len` values.
pub(crate) struct AddScaled {
    pub(crate) input: *const f32,
    pub(crate) factor: f32,
    pub(crate) output: *mut f32,
    pub(crate) len: usize,
}

/// # Safety
/// Input and output must have `len` values. The output must be used by no other thread.
#[inline(always)]
pub(crate) unsafe fn clamp<S: Simd>(simd: S, job: &Clamp) {
    let (low, high) = (simd.splat(job.bounds.0), simd.splat(job.bounds.1));
    for at in (0..job.len).step_by(S::LANES) {
        let count = job.len - at;
        // SAFETY: the caller guarantees `len` values of each, and `count` of them are left.
        unsafe {
            let x = load_part(simd, job.input.add(at), count);
            store_part(simd, job.output.add(at), simd.clamp(x, low, high), count);
        }
    }
}

/// # Safety
/// As [`clamp`].
#[inline(always)]
pub(crate) unsafe fn clamp_gradient<S: Simd>(simd: S, job: &ClampGradient) {
    let (low, high) = (simd.splat(job.bounds.0), simd.splat(job.bounds.1));
    for at in (0..job.len).step_by(S::LANES) {
        let count = job.len - at;
        // SAFETY: the caller guarantees `len` values of each, and `count` of them are left.
        unsafe {
            let x = load_part(simd, job.input.add(at), count);
            let g = load_part(simd, job.gradient.add(at), count);
            store_part(simd, job.output.add(at), simd.gate(g, x, low, high), count);
        }
    }
}

/// # Safety
/// As [`clamp`].
#[inline(always)]
pub(crate) unsafe fn add_scaled<S: Simd>(simd: S, job: &AddScaled) {
    let factor = simd.splat(job.factor);
    for at in (0..job.len).step_by(S::LANES) {
        let count = job.len - at;
        // SAFETY: the caller guarantees `len` values of each, and `count` of them are left.
        unsafe {
            let x = load_part(simd, job.input.add(at), count);
            let sum = load_part(simd, job.output.add(at), count);
            let sum = simd.mul_add(x, factor, sum);
            store_part(simd, job.output.add(at), sum, count);
        }
    }
}
