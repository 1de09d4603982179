//! Fuzz target of the reader `Format::Onnx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mobilenet_fuzz::read(mobilenet_model::checkpoint::Format::Onnx, bytes);
});
