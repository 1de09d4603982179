//! Products of bytes with weights, summed in 32 bits: the vectors of each instruction set, and the
//! micro-kernels written with them. All of them are exact, so every set gives the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod depthwise;
pub(crate) mod matrix;
mod rounding;
mod scalar;
mod vector;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub(crate) use rounding::{ExactRounding, Rounding};
pub(crate) use vector::{IntegerKernel, IntegerSimd};

use crate::simd::Isa;

/// Instructions for products of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntegerIsa {
    /// Portable code.
    Scalar,
    /// AVX2: two products of 16 bits at a time.
    Avx2,
    /// AVX-512 VNNI: four products of bytes at a time.
    Avx512Vnni,
}

impl IntegerIsa {
    /// The fastest of those that belong to an instruction set and that the machine supports.
    pub fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if vnni::Avx512Vnni::detect().is_some() => Self::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2 => Self::Avx2,
            _ => Self::Scalar,
        }
    }

    /// Sums in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Scalar | Self::Avx2 => 8,
            Self::Avx512Vnni => 16,
        }
    }
}

impl std::fmt::Display for IntegerIsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512Vnni => "avx512-vnni",
        })
    }
}

/// Runs a kernel, compiled for the instructions.
pub(crate) fn dispatch<K: IntegerKernel>(isa: IntegerIsa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        IntegerIsa::Avx512Vnni => {
            if let Some(simd) = vnni::Avx512Vnni::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        IntegerIsa::Avx2 => {
            if let Some(simd) = avx2::Avx2::detect() {
                return simd.vectorize(kernel);
            }
        }
        _ => {}
    }
    scalar::Scalar.vectorize(kernel)
}
