//! Fuzz target of the reader `Format::TensorFlowCheckpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mobilenet_fuzz::read(
        mobilenet_model::checkpoint::Format::TensorFlowCheckpoint,
        bytes,
    );
});
