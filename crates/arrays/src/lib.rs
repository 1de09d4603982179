//! Arrays of numbers, and the files that they come from and go to. Below all formats of weights: it
//! knows no network.
//!
//! | module | content |
//! |---|---|
//! | [`mod@array`] | shape and values |
//! | [`buffer`] | values that are owned or shared |
//! | [`little_endian`] | values as bytes |
//! | [`quantized`] | what integers and symbols mean |
//! | [`mapped_file`] | a file's bytes in place |
//! | [`npy`] | NumPy's array files |
//! | [`mod@file`] | atomic writing of files |
//!
//! With the feature `candle`, arrays turn into candle's tensors (`Tensor::try_from`).

pub mod array;
pub mod buffer;
#[cfg(feature = "candle")]
mod candle;
mod element;
pub mod file;
pub mod little_endian;
pub mod mapped_file;
pub mod npy;
pub mod quantized;

pub use array::{Array, ShapeError};
pub use element::Element;
