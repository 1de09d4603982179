//! Activations of layers as outputs of a network in training, and gradients that enter there.

use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::training::{
    MapGradient, TrainingHead, TrainingLayer, TrainingNetwork, TrainingOptions, TrainingProgram,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Padding, Pooling};

use crate::random::values;

const BATCH: usize = 3;
const IMAGE: [usize; 3] = [12, 10, 3];

/// The first `count` layers of a stem and two separable blocks, and their parameters, which do not
/// depend on the number of classes.
fn network(count: usize, classes: usize) -> (TrainingNetwork, Vec<f32>) {
    let window = |stride| ConvGeometry {
        kernel: [3, 3],
        stride,
        dilation: 1,
        padding: Padding::Same,
    };
    let layers = [
        (ConvKind::Conv, window(2), 3, 7),
        (ConvKind::Depthwise, window(1), 7, 7),
        (ConvKind::Conv, ConvGeometry::POINTWISE, 7, 13),
        (ConvKind::Depthwise, window(2), 13, 13),
        (ConvKind::Conv, ConvGeometry::POINTWISE, 13, 9),
    ];
    let mut parameters: Vec<f32> = Vec::new();
    let mut draw = |len: usize, centre: f32, spread: f32| {
        let place = parameters.len();
        parameters.extend(
            values(place as u64 + 3, len)
                .iter()
                .map(|v| centre + spread * v),
        );
        place
    };
    let layers = layers[..count]
        .iter()
        .map(|&(kind, geometry, inputs, outputs)| {
            let depth = match kind {
                ConvKind::Conv => inputs * geometry.kernel[0] * geometry.kernel[1],
                ConvKind::Depthwise => 9,
            };
            TrainingLayer {
                kind,
                geometry,
                in_channels: inputs,
                out_channels: outputs,
                weights: draw(outputs * depth, 0.0, 0.7),
                gamma: Some(draw(outputs, 2.0, 1.0)),
                beta: Some(draw(outputs, 1.0, 1.5)),
                running_mean: draw(outputs, 0.0, 0.5),
                running_variance: draw(outputs, 1.5, 0.5),
                activation: Activation::Relu6,
            }
        });
    let layers: Vec<TrainingLayer> = layers.collect();
    let channels = layers.last().unwrap().out_channels;
    let head = TrainingHead {
        classes,
        weights: draw(classes * channels, 0.0, 0.5),
        bias: draw(classes, 0.0, 0.5),
    };
    let network = TrainingNetwork {
        image: IMAGE,
        layers,
        pooling: Pooling::Global,
        head,
        epsilon: 1e-3,
        parameters: parameters.len(),
    };
    (network, parameters)
}

fn program(isa: Isa, network: &TrainingNetwork, threads: usize) -> TrainingProgram {
    let options = TrainingOptions {
        batch: BATCH,
        threads,
        frozen_layers: 0,
        frozen_batch_norm: false,
        quantization: None,
    };
    TrainingProgram::new(isa, network, &options).unwrap()
}

/// Gradients of the parameters where these maps' gradients enter.
fn gradients(isa: Isa, threads: usize, count: usize, maps: &[MapGradient<'_>]) -> Vec<f32> {
    let (network, parameters) = network(count, 0);
    let mut program = program(isa, &network, threads);
    let images = values(5, program.images_len());
    let mut gradients = vec![f32::NAN; parameters.len()];
    let pass = program
        .forward(&parameters, &images, None, &mut [])
        .unwrap();
    pass.backward_from(&[], maps, &mut gradients).unwrap();
    gradients
}

fn close(found: &[f32], expected: &[f32]) {
    let largest = expected
        .iter()
        .fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(largest > 0.0);
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= 2e-5 * largest,
            "value {index}: {found}, expected {expected}"
        );
    }
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

#[test]
fn the_last_map_gets_what_the_classifier_would_send() {
    for isa in available() {
        let (network, parameters) = network(5, 4);
        let mut program = program(isa, &network, 2);
        let images = values(5, program.images_len());
        let logit_gradients = values(6, BATCH * 4);
        let (mut logits, mut expected) = (vec![0.0; BATCH * 4], vec![0.0; parameters.len()]);
        let pass = program
            .forward(&parameters, &images, None, &mut logits)
            .unwrap();
        let ([rows, columns, channels], map) = pass.activation(4).unwrap();
        assert_eq!([rows, columns, channels], [3, 3, 9]);
        let weight = |class: usize, channel: usize| {
            parameters[network.head.weights + class * channels + channel]
        };
        // The logits are those of the map that can be read.
        for (image, logits) in logits.chunks(4).enumerate() {
            for (class, logit) in logits.iter().enumerate() {
                let pixels = map.chunks(channels).skip(image * 9).take(9);
                let of_pixel = |pixel: &[f32]| -> f32 {
                    pixel
                        .iter()
                        .enumerate()
                        .map(|(channel, a)| a * weight(class, channel))
                        .sum()
                };
                let mean = pixels.map(of_pixel).sum::<f32>() / 9.0;
                let expected = mean + parameters[network.head.bias + class];
                assert!(
                    (logit - expected).abs() < 1e-4,
                    "{isa}: {logit}, {expected}"
                );
            }
        }
        pass.backward(&logit_gradients, &mut expected).unwrap();
        let entering: Vec<f32> = (0..map.len())
            .map(|index| {
                let (image, channel) = (index / (9 * channels), index % channels);
                let of = |class: usize| logit_gradients[image * 4 + class] * weight(class, channel);
                (0..4).map(of).sum::<f32>() / 9.0
            })
            .collect();
        let maps = [MapGradient {
            layer: 4,
            values: &entering,
        }];
        let found = gradients(isa, 2, 5, &maps);
        close(&found, &expected[..found.len()]);
    }
}

#[test]
fn a_map_in_the_middle_is_the_last_of_a_shorter_network() {
    for isa in available() {
        let (middle, last) = (values(8, BATCH * 6 * 5 * 13), values(9, BATCH * 3 * 3 * 9));
        let middle = MapGradient {
            layer: 2,
            values: &middle,
        };
        let last = MapGradient {
            layer: 4,
            values: &last,
        };
        for threads in [1, 3] {
            let shorter = gradients(isa, threads, 3, &[middle]);
            let alone = gradients(isa, threads, 5, &[middle]);
            close(&alone[..shorter.len()], &shorter);
            assert!(
                alone[shorter.len()..]
                    .iter()
                    .all(|&gradient| gradient == 0.0)
            );
            let other = gradients(isa, threads, 5, &[last]);
            let sum: Vec<f32> = alone.iter().zip(&other).map(|(a, b)| a + b).collect();
            close(&gradients(isa, threads, 5, &[middle, last]), &sum);
        }
    }
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let (network, parameters) = network(5, 0);
    let mut program = program(Isa::best().unwrap(), &network, 1);
    let images = values(5, program.images_len());
    let mut gradients = vec![0.0; parameters.len()];
    let short = [0.0; 7];
    for layer in [2, 5, usize::MAX] {
        let pass = program
            .forward(&parameters, &images, None, &mut [])
            .unwrap();
        assert_eq!(pass.activation(layer).is_err(), layer >= 5);
        let maps = [MapGradient {
            layer,
            values: &short,
        }];
        assert!(pass.backward_from(&[], &maps, &mut gradients).is_err());
    }
}
