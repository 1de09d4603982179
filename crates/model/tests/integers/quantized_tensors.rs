//! Quantised tensors of TFLite. The reader keeps the integers together with scales and zero points.

use crate::support::Archive;
use mobilenet_model::array::Values;
use mobilenet_model::checkpoint::readers::RawTensor;
use mobilenet_model::checkpoint::{Format, ReadLimits};

/// `TensorType` of TFLite's schema.
const UINT8: u8 = 3;
const INT8: u8 = 9;

/// The quantised constants of a file.
fn quantized(bytes: &[u8]) -> Vec<RawTensor> {
    let file = Format::Tflite.read(bytes, ReadLimits::default()).unwrap();
    let tensors = file.tensors.into_values();
    tensors.filter(|t| t.quantization.is_some()).collect()
}

/// Checks that each integer means `scale * (integer - zero point)`, with the scale and zero point
/// of its channel.
fn check_meaning(tensor: &RawTensor, integers: &[i64]) {
    let quantization = tensor.quantization.as_ref().unwrap();
    let count = quantization.scales.len();
    assert!(count == 1 || count == tensor.shape[quantization.axis]);
    let inner: usize = tensor.shape[quantization.axis + 1..].iter().product();
    let found = tensor.to_f32().unwrap();
    assert_eq!(found.len(), integers.len());
    for (index, (&found, &integer)) in found.iter().zip(integers).enumerate() {
        let channel = if count == 1 { 0 } else { index / inner % count };
        let zero_point = quantization.zero_points[channel];
        let expected = quantization.scales[channel] * (integer - zero_point) as f32;
        assert_eq!(found, expected, "value {index} of {:?}", tensor.shape);
    }
}

#[test]
fn int8_weights_and_int32_biases() {
    let tensors = quantized(&Archive::open("tflite_files.zip").read("int8.tflite"));
    let (mut weights, mut biases) = (0, 0);
    for tensor in &tensors {
        match tensor.values.as_deref().unwrap() {
            Values::I8(values) => {
                let integers: Vec<i64> = values.iter().map(|&v| v.into()).collect();
                // The converter uses the whole range of integers in every channel.
                assert_eq!(integers.iter().map(|v| v.abs()).max(), Some(127));
                check_meaning(tensor, &integers);
                weights += 1;
            }
            Values::I32(values) => {
                let integers: Vec<i64> = values.iter().map(|&v| v.into()).collect();
                check_meaning(tensor, &integers);
                biases += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // 27 layers and the classifier.
    assert_eq!((weights, biases), (28, 28));
}

/// Reads the same file with all 8-bit tensors declared unsigned. Then the same bytes mean other
/// integers.
#[test]
fn uint8_weights() {
    let bytes = Archive::open("tflite_files.zip").read("int8.tflite");
    let mut unsigned = bytes.clone();
    for offset in tensor_types(&bytes) {
        if unsigned[offset] == INT8 {
            unsigned[offset] = UINT8;
        }
    }
    let mut weights = 0;
    for (signed, tensor) in quantized(&bytes).iter().zip(quantized(&unsigned)) {
        if let Values::U8(values) = tensor.values.as_deref().unwrap() {
            let bytes = signed.values.as_deref().unwrap().to_le_bytes();
            assert_eq!(*values, bytes);
            let integers: Vec<i64> = values.iter().map(|&v| v.into()).collect();
            check_meaning(&tensor, &integers);
            weights += 1;
        }
    }
    assert_eq!(weights, 28);
}

/// Offsets at which a TFLite file stores the type of each tensor.
fn tensor_types(bytes: &[u8]) -> Vec<usize> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let follow = |at: usize| at + word(at);
    // A table begins with the distance back to the list of its fields' offsets. It is negative if
    // the list comes later.
    let field = |table: usize, number: usize| {
        let back = word(table) as u32 as i32;
        let entry = (table as i64 - i64::from(back)) as usize + 4 + 2 * number;
        table + usize::from(u16::from_le_bytes([bytes[entry], bytes[entry + 1]]))
    };
    let subgraph = follow(follow(field(follow(0), 2)) + 4);
    let tensors = follow(field(subgraph, 0));
    let tables = (0..word(tensors)).map(|index| follow(tensors + 4 + 4 * index));
    tables.map(|table| field(table, 1)).collect()
}
