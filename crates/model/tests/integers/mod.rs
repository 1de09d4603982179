//! Networks in integers: run, read, written, quantised.

mod fake_quantized_files;
mod hostile_integers;
mod hostile_onnx_integers;
mod integer_exports;
mod integer_files;
mod integer_strides;
mod integers_for_other_engines;
mod onnx_integers;
mod published_files;
mod quantized_tensors;
