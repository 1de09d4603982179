//! Quantised ONNX files that are wrong on purpose: errors that name what is wrong.

use crate::support::Archive;
use mobilenet_kernels::integer::{Arithmetic, PackedIntegers};
use mobilenet_kernels::simd::IntegerIsa;
use mobilenet_model::checkpoint::{Format, ReadLimits, integers_of};

/// The error of a file, which is read, checked and packed.
fn refusal(bytes: &[u8]) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let file = Format::Onnx.read(bytes, ReadLimits::default());
    let file = file.map_err(|error| text(&error))?;
    let network = integers_of(&file, [64, 64]).map_err(|error| text(&error))?;
    let packed = PackedIntegers::new(network, Arithmetic::Xnnpack, IntegerIsa::Scalar);
    packed.map(|_| ()).map_err(|error| text(&error))
}

/// Where a pattern is for the first time.
fn place(bytes: &[u8], pattern: &[u8]) -> usize {
    let mut windows = bytes.windows(pattern.len());
    windows.position(|window| window == pattern).unwrap()
}

/// Where a `TensorProto` has its name: after `float_data`, before `raw_data`.
fn name(bytes: &[u8], name: &str) -> usize {
    place(
        bytes,
        &[&[0x42, name.len() as u8], name.as_bytes()].concat(),
    )
}

/// Where a tensor has its last number, or with `raw_data` its first.
fn number(bytes: &[u8], tensor: &str) -> usize {
    let name = name(bytes, tensor);
    let after = name + 2 + tensor.len();
    match bytes[after] {
        0x4a => after + 2,
        _ => name - 4,
    }
}

fn with(bytes: &[u8], at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

/// Files, and the scales of outputs of two of their layers.
const FILES: [(&str, [&str; 2]); 2] = [
    (
        "qdq_u8s8_channel.onnx",
        ["c0.relu6_scale", "p13.relu6_scale"],
    ),
    ("operators_u8s8_channel.onnx", ["c0_scale", "p13_scale"]),
];

#[test]
fn wrong_numbers_are_errors() {
    let mut archive = Archive::open("onnx_integers.zip");
    for (file, outputs) in FILES {
        let bytes = archive.read(file);
        assert_eq!(refusal(&bytes), Ok(()), "{file}");
        let wrong = [0.0, -0.1, f32::NAN, f32::INFINITY, 1e38, 1e-40];
        for tensor in outputs.into_iter().chain(["d1.weight_scale"]) {
            for scale in wrong {
                let at = number(&bytes, tensor);
                let error = refusal(&with(&bytes, at, &f32::to_le_bytes(scale))).unwrap_err();
                assert!(error.contains("scale"), "{file} {tensor} {scale}: {error}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut archive = Archive::open("onnx_integers.zip");
    for (file, _) in FILES {
        let bytes = archive.read(file);
        // The first of two dimensions of one byte: `dims` 2, `data_type` 1, 8 bytes of numbers.
        let scales = name(&bytes, "c0.weight_scale") - 14;
        assert_eq!(bytes[scales..scales + 4], [8, 2, 16, 1]);
        let error = refusal(&with(&bytes, scales + 1, &[1])).unwrap_err();
        assert!(error.contains("does not fit"), "{file}: {error}");
    }
    let bytes = archive.read(FILES[0].0);
    // A bias' scale, and the axis of scales.
    let scale = number(&bytes, "d1.bias_quantized_scale");
    let error = refusal(&with(&bytes, scale, &0.5f32.to_le_bytes())).unwrap_err();
    assert!(error.contains("bias scale"), "{error}");
    let axis = place(&bytes, b"axis") + 5;
    for wrong in [1, 3, 127] {
        let error = refusal(&with(&bytes, axis, &[wrong])).unwrap_err();
        assert!(error.contains("axis"), "{wrong}: {error}");
    }
}
