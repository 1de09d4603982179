//! Types of stored weights: f32, or 16 bits that are converted to f32 when they are loaded.

use std::fmt;

use half::{bf16, f16};

use crate::simd::Simd;

/// Type of stored weights. Sums are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WeightType {
    /// 32 bits, the type of all arithmetic.
    #[default]
    F32,
    /// IEEE half precision: 11 significant bits, values up to 65504.
    #[cfg(feature = "halves")]
    F16,
    /// The upper half of an f32: 8 significant bits, the range of f32.
    #[cfg(feature = "halves")]
    Bf16,
}

impl WeightType {
    /// Bytes of a weight.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            #[cfg(feature = "halves")]
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// A value rounded to this type, as f32.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            #[cfg(feature = "halves")]
            Self::F16 => f16::from_f32(value).to_f32(),
            #[cfg(feature = "halves")]
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            #[cfg(feature = "halves")]
            Self::F16 => "f16",
            #[cfg(feature = "halves")]
            Self::Bf16 => "bf16",
        })
    }
}

/// A stored weight.
///
/// # Safety
/// The type's size must divide that of f32, its alignment must not exceed that of f32, and every
/// bit pattern must be a valid value.
pub(crate) unsafe trait Weight: Copy + 'static {
    fn from_f32(value: f32) -> Self;

    /// Loads `S::LANES` weights as a vector.
    ///
    /// # Safety
    /// `S::LANES` weights must be readable at `from`.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Vector;
}

/// `COUNT` vectors, one after the other. A loop and not `array::from_fn`, because the compiler does
/// not always inline the closure into vector code.
///
/// # Safety
/// All their weights must be readable at `from`.
#[inline(always)]
pub(crate) unsafe fn load_vectors<S: Simd, W: Weight, const COUNT: usize>(
    simd: S,
    from: *const W,
) -> [S::Vector; COUNT] {
    let mut vectors = [simd.splat(0.0); COUNT];
    for (j, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller guarantees `S::LANES` readable weights.
        *vector = unsafe { W::load(simd, from.add(j * S::LANES)) };
    }
    vectors
}

// SAFETY: this is f32 itself, and every bit pattern is an f32.
unsafe impl Weight for f32 {
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Vector {
        // SAFETY: the caller guarantees `S::LANES` readable weights.
        unsafe { simd.load(from) }
    }
}

// SAFETY: it wraps a u16: 2 bytes, aligned to 2, and every bit pattern is valid.
unsafe impl Weight for f16 {
    fn from_f32(value: f32) -> Self {
        f16::from_f32(value)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Vector {
        // SAFETY: the caller guarantees `S::LANES` readable weights.
        unsafe { simd.load_f16(from) }
    }
}

// SAFETY: it wraps a u16: 2 bytes, aligned to 2, and every bit pattern is valid.
unsafe impl Weight for bf16 {
    fn from_f32(value: f32) -> Self {
        bf16::from_f32(value)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Vector {
        // SAFETY: the caller guarantees `S::LANES` readable weights.
        unsafe { simd.load_bf16(from) }
    }
}
