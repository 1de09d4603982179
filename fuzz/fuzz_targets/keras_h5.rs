//! Fuzz target of the reader `Format::KerasH5`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mobilenet_fuzz::read(mobilenet_model::checkpoint::Format::KerasH5, bytes);
});
