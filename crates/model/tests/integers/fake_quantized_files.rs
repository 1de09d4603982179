//! TensorFlow's graphs with the ranges of fake quantisation become networks of integers.

use crate::support::golden;
use mobilenet_kernels::fake_quantization::WeightScheme;
use mobilenet_model::checkpoint::{ReadLimits, is_quantized, load, load_integers, load_quantized};
use mobilenet_model::quantized::{Freeze, ValueKind};
use mobilenet_model::{Endpoint, FlatLayout, LayerKind};

/// The scopes of all layers, in order. TensorFlow doubles that of the body.
fn scopes() -> Vec<String> {
    let endpoint = |index, kind| format!("MobilenetV1/MobilenetV1/{}", Endpoint { index, kind });
    let mut scopes = vec![endpoint(0, LayerKind::Conv)];
    for index in 1..=13 {
        scopes.push(endpoint(index, LayerKind::Depthwise));
        scopes.push(endpoint(index, LayerKind::Pointwise));
    }
    scopes.push("MobilenetV1/Logits/Conv2d_1c_1x1".to_string());
    scopes
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        field.push(length as u8 | 128);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

/// A `Const` node with one number.
fn constant(name: &str, value: f32) -> Vec<u8> {
    let shape = field(2, &[]);
    let tensor = [&[8, 1][..], &shape, &field(5, &value.to_le_bytes())].concat();
    let value = [field(1, b"value"), field(2, &field(8, &tensor))].concat();
    let node = [
        field(1, name.as_bytes()),
        field(2, b"Const"),
        field(5, &value),
    ]
    .concat();
    field(1, &node)
}

/// The golden graph with ranges of activations, and perhaps of weights.
fn graph(ranges: &[[f32; 2]], weights: Option<&[[f32; 2]]>) -> tempfile::NamedTempFile {
    let mut bytes = std::fs::read(golden("slim_tiny.pb")).unwrap();
    let kinds = [("act_quant", Some(ranges)), ("weights_quant", weights)];
    for (kind, ranges) in kinds {
        for (scope, [least, most]) in scopes().iter().zip(ranges.unwrap_or_default()) {
            bytes.extend(constant(&format!("{scope}/{kind}/min"), *least));
            bytes.extend(constant(&format!("{scope}/{kind}/max"), *most));
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn ranges() -> Vec<[f32; 2]> {
    let of = |index: usize| match index {
        27 => [-7.5, 9.25],
        _ => [0.0, 6.0 - index as f32 / 10.0],
    };
    (0..28).map(of).collect()
}

#[test]
fn ranges_make_integers_of_weights() {
    let of_weights: Vec<[f32; 2]> = (0..28).map(|i| [-1.0 - i as f32, 2.0]).collect();
    for weight_ranges in [None, Some(of_weights.as_slice())] {
        let file = graph(&ranges(), weight_ranges);
        assert!(!is_quantized(file.path(), ReadLimits::default()).unwrap());
        let found = load_quantized(file.path(), ReadLimits::default()).unwrap();
        let checkpoint = load(file.path(), ReadLimits::default()).unwrap();
        // As numbers, the ranges are what training has left.
        let left = checkpoint.report.training.values().map(Vec::len);
        assert_eq!(
            left.sum::<usize>(),
            if weight_ranges.is_some() { 112 } else { 56 }
        );
        let config = checkpoint.metadata.config();
        let layout = FlatLayout::new(&config).unwrap();
        let expected = Freeze {
            config: &config,
            weights: &layout.flatten(&checkpoint.parameters).unwrap(),
            ranges: &ranges(),
            weight_ranges,
            scheme: WeightScheme::PerTensor,
            size: checkpoint.metadata.preprocessing.size,
            pixels: [-1.0, 1.0],
        };
        assert_eq!(found.network, expected.network().unwrap());
        assert_eq!(found.metadata.classes, checkpoint.metadata.classes);
        let ValueKind::Quantized(first) = found.network.layers[0].output else {
            panic!("numbers")
        };
        assert_eq!((first.scale, first.zero_point), (6.0 / 255.0, 0));
    }
}

#[test]
fn missing_and_impossible_ranges_are_errors() {
    let error = |ranges: &[[f32; 2]], weights: Option<&[[f32; 2]]>| {
        let file = graph(ranges, weights);
        let error = load_integers(file.path(), ReadLimits::default()).unwrap_err();
        error.to_string()
    };
    let complete = ranges();
    let message = error(&complete[..27], None);
    assert!(message.contains("has no `act_quant/min`"), "{message}");
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut ranges = complete.clone();
        ranges[3][1] = wrong;
        let message = error(&ranges, None);
        assert!(message.contains("must be finite"), "{message}");
        let message = error(&complete, Some(&ranges));
        assert!(message.contains("must be finite"), "{message}");
    }
}
