//! Fake quantisation: values are rounded to those that an 8-bit integer can represent.
//!
//! ```text
//! x -> floor((clamp(x, low, high) - low) * inverse - zero + 0.5) * scale
//! ```
//!
//! Each operation is rounded on its own, in this order, as in TensorFlow. So the bits are the same
//! on every instruction set.

use super::part::{load_part, store_part};
use crate::simd::Simd;

/// The values that an 8-bit integer represents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Steps {
    pub(crate) low: f32,
    pub(crate) high: f32,
    /// Distance of two neighbours, and `1 / scale`.
    pub(crate) scale: f32,
    pub(crate) inverse: f32,
    /// Number of steps from `low` to 0.
    pub(crate) zero: f32,
}

/// The same in vectors.
#[derive(Clone, Copy)]
pub(crate) struct Rounding<S: Simd> {
    minus_low: S::Vector,
    scale: S::Vector,
    inverse: S::Vector,
    minus_zero: S::Vector,
}

impl<S: Simd> Rounding<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, steps: &Steps) -> Self {
        Self {
            minus_low: simd.splat(-steps.low),
            scale: simd.splat(steps.scale),
            inverse: simd.splat(steps.inverse),
            minus_zero: simd.splat(-steps.zero),
        }
    }

    /// Rounds values between `low` and `high`.
    #[inline(always)]
    pub(crate) fn round(&self, simd: S, x: S::Vector) -> S::Vector {
        let none = simd.splat(0.0);
        let steps = simd.mul_add(simd.add(x, self.minus_low), self.inverse, none);
        let steps = simd.add(simd.add(steps, self.minus_zero), simd.splat(0.5));
        simd.mul_add(simd.floor(steps), self.scale, none)
    }
}

/// Rounds values in place.
#[inline(always)]
pub(crate) fn round<S: Simd>(simd: S, values: &mut [f32], steps: &Steps) {
    // SAFETY: the slice is borrowed mutably. Each value is read before it is written.
    unsafe {
        round_at(
            simd,
            values.as_ptr(),
            1.0,
            values.as_mut_ptr(),
            values.len(),
            steps,
        )
    }
}

/// Rounds values times a factor, as many as there are of both.
#[inline(always)]
pub(crate) fn round_scaled<S: Simd>(
    simd: S,
    from: &[f32],
    factor: f32,
    to: &mut [f32],
    steps: &Steps,
) {
    let count = from.len().min(to.len());
    // SAFETY: both have that many values, and one is borrowed mutably.
    unsafe { round_at(simd, from.as_ptr(), factor, to.as_mut_ptr(), count, steps) }
}

/// # Safety
/// `count` values must be readable, and writable by this thread alone.
#[inline(always)]
unsafe fn round_at<S: Simd>(
    simd: S,
    from: *const f32,
    factor: f32,
    to: *mut f32,
    count: usize,
    steps: &Steps,
) {
    let rounding = Rounding::new(simd, steps);
    let (low, high) = (simd.splat(steps.low), simd.splat(steps.high));
    let (factor, none) = (simd.splat(factor), simd.splat(0.0));
    let whole = count - count % S::LANES;
    // SAFETY: the caller's guarantee.
    unsafe {
        for start in (0..whole).step_by(S::LANES) {
            let x = simd.mul_add(simd.load(from.add(start)), factor, none);
            let x = rounding.round(simd, simd.clamp(x, low, high));
            simd.store(to.add(start), x);
        }
        if whole < count {
            let x = load_part(simd, from.add(whole), count - whole);
            let x = simd.clamp(simd.mul_add(x, factor, none), low, high);
            let x = rounding.round(simd, x);
            store_part(simd, to.add(whole), x, count - whole);
        }
    }
}
