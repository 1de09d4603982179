//! Micro-kernels, each written once for all instruction sets, over `Simd`.

pub(crate) mod ahead;
pub(crate) mod depthwise;
#[cfg(feature = "training")]
pub(crate) mod depthwise_weight_gradient;
#[cfg(feature = "training")]
pub(crate) mod elementwise;
#[cfg(feature = "training")]
pub(crate) mod normalization;
#[cfg(feature = "training")]
pub(crate) mod outer;
pub(crate) mod part;
pub(crate) mod pool;
mod product;
#[cfg(feature = "training")]
pub(crate) mod rounding;
pub(crate) mod strassen;
pub(crate) mod tile;
pub(crate) mod transpose;
pub(crate) mod weight;
