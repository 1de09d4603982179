//! The instruction sets: which exist, which the machine supports, and which one is used.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use scalar::Scalar as Portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use wasm128::Wasm128 as Portable;

use crate::simd::{Kernel, Simd};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bandwidth;
#[cfg(target_arch = "aarch64")]
mod neon;
mod peak;
pub(crate) mod processor;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sse;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm128;

pub use bandwidth::measure_bandwidth;
pub use peak::measure_peak;

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Portable code.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512F.
    Avx512,
    /// AArch64.
    Neon,
    /// WebAssembly with SIMD. A module has no other set, so that it stays small.
    Wasm128,
}

/// Whether this is WebAssembly with SIMD.
pub(crate) const WASM_SIMD: bool = cfg!(all(target_arch = "wasm32", target_feature = "simd128"));

/// The environment variable that forces an instruction set.
const VARIABLE: &str = "MOBILENET_ISA";

/// Whether the variable names an instruction set.
pub(crate) fn is_forced() -> bool {
    std::env::var(VARIABLE).is_ok_and(|forced| !forced.is_empty())
}

/// Why an instruction set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// There is no instruction set of this name.
    #[error("unknown instruction set `{0}`; there are scalar, avx2, avx512, neon, wasm128")]
    Unknown(String),
    /// The machine does not support it.
    #[error("this machine has no {0}")]
    Unavailable(Isa),
}

impl Isa {
    /// All instruction sets, slowest first.
    pub const ALL: [Self; 5] = [
        Self::Scalar,
        Self::Neon,
        Self::Wasm128,
        Self::Avx2,
        Self::Avx512,
    ];

    /// Whether this machine supports it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => !WASM_SIMD,
            Self::Wasm128 => WASM_SIMD,
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The fastest set that the machine supports, or the one that `MOBILENET_ISA` names.
    ///
    /// # Errors
    /// If the variable names an unknown set, or one that the machine does not support.
    pub fn best() -> Result<Self, IsaError> {
        if !is_forced() {
            let available = Self::ALL.into_iter().rev().find(|isa| isa.is_available());
            return Ok(available.unwrap_or(Self::Scalar));
        }
        let isa: Self = std::env::var(VARIABLE).unwrap_or_default().parse()?;
        if isa.is_available() {
            Ok(isa)
        } else {
            Err(IsaError::Unavailable(isa))
        }
    }

    /// [`Self::best`], determined once per process. The single kernels use it.
    pub(crate) fn current() -> Result<Self, IsaError> {
        static CURRENT: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        CURRENT.get_or_init(Self::best).clone()
    }

    /// Values in a vector.
    pub fn lanes(self) -> usize {
        match self {
            // What runs there whatever is asked for.
            _ if WASM_SIMD => 4,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
            Self::Scalar | Self::Neon | Self::Wasm128 => 4,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
            Self::Wasm128 => "wasm128",
        })
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        Self::ALL
            .into_iter()
            .find(|isa| isa.to_string() == name)
            .ok_or_else(|| IsaError::Unknown(name.to_string()))
    }
}

/// Runs a kernel, compiled for the instruction set. [`Isa::best`] never returns a set that the
/// machine lacks. If one is given all the same, the portable code runs.
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            if let Some(simd) = avx512::Avx512::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            if let Some(simd) = avx2::Avx2::detect() {
                return simd.vectorize(kernel);
            }
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => return neon::Neon.vectorize(kernel),
        _ => {}
    }
    Portable.vectorize(kernel)
}

/// Vectors of output channels in a full panel of the matrix product, for an instruction set.
pub(crate) fn panel_vectors(isa: Isa) -> usize {
    struct Panel;
    impl Kernel for Panel {
        type Output = usize;

        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> usize {
            S::PANEL
        }
    }
    dispatch(isa, Panel)
}
