//! Networks in integers: run, read, written, quantised.

#[path = "../support/small_networks.rs"]
mod small_networks;
#[path = "../support/mod.rs"]
mod support;

mod fake_quantized_files;
mod hostile_integers;
mod hostile_onnx_integers;
mod integer_exports;
mod integer_files;
mod integer_strides;
mod integers;
mod integers_for_other_engines;
mod onnx_integers;
mod quantized_tensors;
