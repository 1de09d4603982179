//! Loads and stores of the last vector of a slice, of which only some lanes exist.

use crate::simd::Simd;

/// No instruction set has more lanes.
const MOST_LANES: usize = 16;

/// Loads `count` values, or a whole vector if `count` is larger; the other lanes are 0.
///
/// # Safety
/// That many values must be readable at `from`.
#[inline(always)]
pub(crate) unsafe fn load_part<S: Simd>(simd: S, from: *const f32, count: usize) -> S::Vector {
    // SAFETY: the caller guarantees `count` values; `part` holds a whole vector.
    unsafe {
        if count >= S::LANES {
            return simd.load(from);
        }
        let mut part = [0.0; MOST_LANES];
        part.as_mut_ptr().copy_from_nonoverlapping(from, count);
        simd.load(part.as_ptr())
    }
}

/// Stores the first `count` lanes, or all of them if `count` is larger.
///
/// # Safety
/// That many values must be writable at `to`.
#[inline(always)]
pub(crate) unsafe fn store_part<S: Simd>(simd: S, to: *mut f32, vector: S::Vector, count: usize) {
    // SAFETY: the caller guarantees `count` values; `part` holds a whole vector.
    unsafe {
        if count >= S::LANES {
            return simd.store(to, vector);
        }
        let mut part = [0.0; MOST_LANES];
        simd.store(part.as_mut_ptr(), vector);
        to.copy_from_nonoverlapping(part.as_ptr(), count);
    }
}
