//! The kernels as candle functions, against the fallback: values and gradients.

mod gradients;
mod kernels_and_fallback;
