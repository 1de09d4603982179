//! Products of bytes with weights, summed in 32 bits: the vectors of each instruction set, and the
//! micro-kernels written with them. All of them are exact, so every set gives the same bits.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_bytes;
#[cfg(target_arch = "x86_64")]
mod avx2_quads;
#[cfg(target_arch = "x86_64")]
mod avx2_widened;
#[cfg(target_arch = "x86_64")]
mod avx512_quads;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
pub(crate) mod depthwise;
pub(crate) mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
#[cfg(target_arch = "x86_64")]
mod quads;
mod rounding;
pub(crate) mod row;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod scalar;
mod vector;
#[cfg(target_arch = "x86_64")]
mod vnni;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm128;

pub(crate) use rounding::{ExactRounding, Rounding, Scaling};
pub(crate) use vector::{BLOCK, IntegerKernel, IntegerSimd, MOST_LANES, Weight};

use crate::simd::{Isa, IsaError, WASM_SIMD, is_forced};
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use scalar::Scalar as Portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use wasm128::Wasm128 as Portable;

/// Instructions for products of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntegerIsa {
    /// Portable code.
    Scalar,
    /// AVX2.
    Avx2,
    /// AVX2 with AVX-VNNI.
    AvxVnni,
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX-512 with VNNI and AMX.
    Avx512Amx,
    /// AArch64.
    Neon,
    /// AArch64 with the dot product.
    NeonDot,
    /// WebAssembly with SIMD. A module has no other set, so that it stays small.
    Wasm128,
}

impl IntegerIsa {
    /// All, slowest first.
    pub const ALL: [Self; 8] = [
        Self::Scalar,
        Self::Wasm128,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Avx512Amx,
        Self::Neon,
        Self::NeonDot,
    ];

    /// Whether this machine supports it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => !WASM_SIMD,
            Self::Wasm128 => WASM_SIMD,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx_vnni::AvxVnni::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => vnni::Avx512Vnni::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Amx => vnni::Avx512Vnni::detect_amx().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => neon_dot::NeonDot::detect().is_some(),
            _ => false,
        }
    }

    /// The fastest that the machine supports, or the one of the instruction set that
    /// `MOBILENET_ISA` names.
    ///
    /// # Errors
    /// If the variable names an unknown set, or one that the machine does not support.
    pub fn best() -> Result<Self, IsaError> {
        if is_forced() {
            return Isa::best().map(Self::from);
        }
        let available = Self::ALL.into_iter().rev().find(|isa| isa.is_available());
        Ok(available.unwrap_or(Self::Scalar))
    }

    /// Sums in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            // What runs there whatever is asked for.
            _ if WASM_SIMD => 8,
            Self::Avx2 | Self::AvxVnni | Self::Neon | Self::NeonDot | Self::Wasm128 => 8,
            Self::Avx512Vnni | Self::Avx512Amx => 16,
            Self::Scalar => 4,
        }
    }

    /// Name of the instructions of depthwise kernels.
    pub(crate) fn pairs_name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "vpmaddwd",
            Self::AvxVnni | Self::Avx512Vnni | Self::Avx512Amx => "vpdpwssd",
            Self::Neon | Self::NeonDot => "smlal",
            Self::Wasm128 => "i32x4.dot_i16x8_s",
        }
    }

    /// Whether depthwise kernels take the columns of a window of 3 x 3 as steps of bytes, if weights are
    /// bytes, too.
    pub(crate) fn takes_columns(self) -> bool {
        match self {
            Self::AvxVnni | Self::Avx512Vnni | Self::Avx512Amx => true,
            Self::Wasm128 => cfg!(target_feature = "relaxed-simd"),
            _ => false,
        }
    }

    /// Whether depthwise kernels take four vectors of channels at a time.
    pub(crate) fn has_quads(self) -> bool {
        matches!(
            self,
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni | Self::Avx512Amx
        )
    }

    /// The kernel of matrix products that takes any weights.
    pub(crate) fn products(self) -> Products {
        match self {
            Self::Scalar => Products::Scalar,
            Self::Avx2 => Products::Avx2,
            Self::AvxVnni => Products::AvxVnni,
            Self::Avx512Vnni => Products::Avx512Vnni,
            Self::Avx512Amx => Products::Avx512Amx,
            Self::Neon => Products::Neon,
            Self::NeonDot => Products::NeonDot,
            Self::Wasm128 => Products::Wasm128,
        }
    }

    /// The same where it is faster than a product in f32, if what is multiplied has to be rounded first.
    pub(crate) fn fast_products(self) -> Option<Products> {
        let has = matches!(
            self,
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni | Self::Avx512Amx
        );
        has.then(|| self.products())
    }

    /// A kernel that is faster where weights are small.
    pub(crate) fn products_of_small(self) -> Option<Products> {
        (self == Self::Avx2).then_some(Products::Avx2Bytes)
    }

    /// A kernel that is faster where a single pixel is multiplied.
    pub(crate) fn products_of_a_pixel(self) -> Option<Products> {
        (self == Self::Avx2).then_some(Products::Avx2Widened)
    }
}

impl From<Isa> for IntegerIsa {
    /// The plain instructions of a set.
    fn from(isa: Isa) -> Self {
        match isa {
            Isa::Avx512 if Self::Avx512Amx.is_available() => Self::Avx512Amx,
            Isa::Avx512 if Self::Avx512Vnni.is_available() => Self::Avx512Vnni,
            Isa::Neon => Self::Neon,
            Isa::Avx512 | Isa::Avx2 if Self::Avx2.is_available() => Self::Avx2,
            Isa::Wasm128 => Self::Wasm128,
            _ => Self::Scalar,
        }
    }
}

impl std::fmt::Display for IntegerIsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Amx => "avx512-amx",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dot",
            Self::Wasm128 => "wasm128",
        })
    }
}

/// How a kernel multiplies. On some instruction sets it depends on the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Products {
    Scalar,
    /// Pairs of 16 bits: any weights.
    Avx2,
    /// Bytes: small weights, or extra steps.
    Avx2Bytes,
    /// Pairs of 16 bits, of weights that are kept as bytes.
    Avx2Widened,
    AvxVnni,
    Avx512Vnni,
    Avx512Amx,
    Neon,
    NeonDot,
    Wasm128,
}

impl Products {
    /// Name of the instructions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 | Self::Avx2Widened => "vpmaddwd",
            Self::Avx2Bytes => "vpmaddubsw",
            Self::AvxVnni | Self::Avx512Vnni => "vpdpbusd",
            Self::Avx512Amx => "tdpbusd",
            Self::Neon => "smlal",
            Self::NeonDot => "sdot",
            Self::Wasm128 if cfg!(target_feature = "relaxed-simd") => "i32x4.relaxed_dot_i8x16",
            Self::Wasm128 => "i32x4.dot_i16x8_s",
        }
    }

    /// Relative time of a product in a step that is not an extra one. Only kernels of the same
    /// instruction set are compared.
    pub(crate) fn cost(self) -> f64 {
        match self {
            // Instructions for 8 products.
            Self::Avx2 => 8.0,
            Self::Avx2Bytes => 5.0,
            _ => 1.0,
        }
    }
}

/// Runs a kernel, compiled for the instructions. [`IntegerIsa::best`] never returns what the machine
/// lacks.
pub(crate) fn dispatch<K: IntegerKernel>(products: Products, kernel: K) -> K::Output {
    match products {
        #[cfg(target_arch = "x86_64")]
        Products::Avx512Amx => {
            if let Some(simd) = vnni::Avx512Vnni::detect_amx() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Products::Avx512Vnni => {
            if let Some(simd) = vnni::Avx512Vnni::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Products::AvxVnni => {
            if let Some(simd) = avx_vnni::AvxVnni::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Products::Avx2Bytes => {
            if let Some(simd) = avx2_bytes::Avx2Bytes::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Products::Avx2Widened => {
            if let Some(simd) = avx2_widened::Avx2Widened::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Products::Avx2 => {
            if let Some(simd) = avx2::Avx2::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "aarch64")]
        Products::Neon => return neon::Neon.vectorize(kernel),
        #[cfg(target_arch = "aarch64")]
        Products::NeonDot => {
            if let Some(simd) = neon_dot::NeonDot::detect() {
                return simd.vectorize(kernel);
            }
        }
        _ => {}
    }
    Portable.vectorize(kernel)
}
