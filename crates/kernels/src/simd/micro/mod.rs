//! Micro-kernels, each written once for all instruction sets, over `Simd`.

pub(crate) mod depthwise;
pub(crate) mod depthwise_weight_gradient;
pub(crate) mod elementwise;
pub(crate) mod normalization;
pub(crate) mod outer;
mod part;
pub(crate) mod pool;
mod product;
pub(crate) mod rounding;
pub(crate) mod strassen;
pub(crate) mod tile;
pub(crate) mod weight;
