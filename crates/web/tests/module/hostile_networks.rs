//! Descriptions and bytes from a broken or hostile file are errors: no panic, no memory for weights
//! that the file does not have.

use mobilenet_kernels::inference::{ConvKind, LayerShape};
use mobilenet_kernels::{Activation, ConvGeometry, Padding};
use mobilenet_web::{Module, WebError, write};

fn layers() -> Vec<LayerShape> {
    let layer = |kind, kernel: [usize; 2], in_channels, out_channels| LayerShape {
        kind,
        geometry: ConvGeometry {
            kernel,
            stride: 1,
            dilation: 1,
            padding: Padding::Same,
        },
        in_channels,
        out_channels,
        activation: Activation::Relu6,
    };
    vec![
        layer(ConvKind::Conv, [3, 3], 3, 8),
        layer(ConvKind::Depthwise, [3, 3], 8, 8),
        layer(ConvKind::Conv, [1, 1], 8, 6),
    ]
}

/// Number of weights and biases of each layer, the classifier's included.
const COUNTS: [usize; 4] = [3 * 9 * 8 + 8, 9 * 8 + 8, 8 * 6 + 6, 6 * 5 + 5];

fn description() -> Vec<u32> {
    write::float_network([9, 7, 3], None, Some(5), &layers())
}

fn put(module: &mut Module, bytes: &[u8]) {
    module.scratch(bytes.len()).unwrap().copy_from_slice(bytes);
}

fn open(words: &[u32], bytes: usize) -> (Module, Result<(), WebError>) {
    let mut module = Module::new();
    let description: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    put(&mut module, &description);
    let opened = module.open(bytes);
    (module, opened)
}

/// Loads a network whose weights all have this value.
fn load(words: &[u32], value: f32) -> Result<Module, WebError> {
    let (mut module, opened) = open(words, 4 * COUNTS.iter().sum::<usize>());
    opened?;
    for count in COUNTS {
        let bytes: Vec<u8> = std::iter::repeat_n(value.to_le_bytes(), count)
            .flatten()
            .collect();
        put(&mut module, &bytes);
        module.layer(0)?;
    }
    module.plan(1)?;
    Ok(module)
}

#[test]
fn a_network_runs() {
    let mut module = load(&description(), 0.01).unwrap();
    module.input().fill(1.0);
    module.run().unwrap();
    assert_eq!((module.logits().len(), module.features().len()), (5, 6));
    assert!(module.logits().iter().all(|logit| *logit > 0.01));
}

#[test]
fn every_changed_word_is_an_error_or_a_network() {
    let words = description();
    let mut refused = 0;
    for at in 0..words.len() {
        for value in [0, 1, 2, 7, 255, 1 << 10, 1 << 20, 1 << 31, u32::MAX] {
            let mut changed = words.clone();
            changed[at] = value;
            match load(&changed, 0.01) {
                Ok(mut module) => module.run().unwrap(),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        let (_, cut) = open(&words[..at], 1 << 20);
        assert!(cut.is_err(), "a description of {at} words");
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn weights_that_are_no_numbers_are_errors() {
    for value in [f32::NAN, f32::INFINITY] {
        let error = load(&description(), value).unwrap_err();
        assert_eq!(error, WebError::NotFinite { layer: 0 });
    }
}

#[test]
fn networks_larger_than_their_file_are_errors() {
    let (_, opened) = open(&description(), 100);
    assert!(matches!(opened, Err(WebError::Weights { bytes: 100, .. })));
}

#[test]
fn layers_out_of_order_are_errors() {
    let (mut module, opened) = open(&description(), 1 << 20);
    opened.unwrap();
    put(&mut module, &[0; 12]);
    let error = module.layer(0).unwrap_err();
    let (layer, expected, found) = (0, 4 * COUNTS[0], 12);
    assert_eq!(
        error,
        WebError::Bytes {
            layer,
            expected,
            found
        }
    );
    assert!(module.plan(1).is_err());
    assert!(module.run().is_err());
    let mut full = load(&description(), 0.01).unwrap();
    put(&mut full, &[0; 12]);
    assert!(full.layer(0).is_err());
}
