//! Networks of integers made from random weights, which differ in all that a file must say.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, each of which uses its own part"
)]

use std::sync::OnceLock;

use mobilenet_compress::quantize::{Quantization, QuantizeOptions, RangeMethod, Scheme, quantize};
use mobilenet_kernels::integer::{IntegerLayer, IntegerOperation};
use mobilenet_model::PaddingRule;
use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata, SavedActivation};
use mobilenet_model::initialize::random_parameters;
use mobilenet_model::preprocess::Preprocessing;
use mobilenet_model::quantized::{IntegerNetwork, ValueKind};

/// Random weights of a small network.
pub fn random(edit: impl FnOnce(&mut Metadata)) -> Checkpoint {
    let mut metadata = Metadata {
        width: 0.25,
        classes: Some(11),
        ..Metadata::new(Preprocessing::slim(64))
    };
    edit(&mut metadata);
    Checkpoint {
        parameters: random_parameters(&metadata.config(), 7).unwrap(),
        metadata,
        report: LoadReport::default(),
    }
}

/// Images of waves, normalised.
pub fn images(checkpoint: &Checkpoint, seeds: std::ops::Range<usize>) -> Vec<Vec<f32>> {
    let [rows, columns] = checkpoint.metadata.preprocessing.size;
    let count = rows * columns * checkpoint.metadata.in_channels;
    let image = |seed: usize| {
        let wave = |index: usize| (index as f32 * (0.003 + 0.0007 * seed as f32)).sin();
        let grain = |index: usize| ((index * (seed + 3)) % 17) as f32 / 40.0;
        (0..count)
            .map(|index| (0.7 * wave(index) + grain(index)).clamp(-1.0, 1.0))
            .collect()
    };
    seeds.map(image).collect()
}

pub fn quantized(checkpoint: &Checkpoint, options: &QuantizeOptions) -> Quantization {
    quantize(checkpoint, &images(checkpoint, 0..8), options).unwrap()
}

pub const PER_TENSOR: QuantizeOptions = QuantizeOptions {
    scheme: Scheme::PerTensor,
    weight_bits: 8,
    range: RangeMethod::MinMax,
    bias_correction: true,
    adaptive_rounding: true,
    equalization: true,
};

/// Networks that differ in all that a file must say.
pub fn networks() -> Vec<(&'static str, Quantization)> {
    let per_channel = QuantizeOptions::default();
    let of = |name, options: &QuantizeOptions, edit: &dyn Fn(&mut Metadata)| {
        (name, quantized(&random(edit), options))
    };
    vec![
        of("per_channel", &per_channel, &|_| {}),
        of("per_tensor", &PER_TENSOR, &|_| {}),
        of("explicit_relu", &per_channel, &|metadata| {
            metadata.padding = PaddingRule::Explicit;
            metadata.activation = SavedActivation::Relu;
            metadata.in_channels = 1;
            metadata.preprocessing.mean = vec![0.4];
            metadata.preprocessing.std = vec![0.3];
        }),
        of("keras_odd", &PER_TENSOR, &|metadata| {
            metadata.padding = PaddingRule::Keras;
            metadata.preprocessing.size = [75, 101];
            metadata.channel_multiplier = 2;
            metadata.global_pool = true;
        }),
        // Means that differ: the input are numbers.
        of("numbers", &per_channel, &|metadata| {
            metadata.preprocessing.mean = vec![0.485, 0.456, 0.406];
            metadata.preprocessing.std = vec![0.229, 0.224, 0.225];
        }),
        of("features", &per_channel, &|metadata| {
            metadata.classes = None
        }),
        // The window of the pool is smaller than the map.
        of("window", &per_channel, &|metadata| {
            metadata.preprocessing.size = [232, 64]
        }),
    ]
}

/// The same with one scale for all weights of a layer, and with a classifier that is fully
/// connected, as other writers have them.
pub fn one_signed_scale(mut network: IntegerNetwork) -> IntegerNetwork {
    for layer in &mut network.layers {
        if let IntegerOperation::Convolution(convolution) = &mut layer.operation {
            convolution.weights.scales.truncate(1);
            convolution.weights.zero_points.truncate(1);
        }
    }
    network
}

pub fn fully_connected(mut network: IntegerNetwork) -> IntegerNetwork {
    let is_flatten = |layer: &IntegerLayer| layer.operation == IntegerOperation::Flatten;
    let flatten = network.layers.iter().position(is_flatten).unwrap();
    network.layers.swap(flatten - 1, flatten);
    network.layers[flatten - 1].output = network.layers[flatten - 2].output;
    if let IntegerOperation::Convolution(convolution) = &mut network.layers[flatten].operation {
        convolution.fully_connected = true;
    }
    let output = IntegerLayer {
        name: "numbers".to_string(),
        operation: IntegerOperation::Dequantize,
        output: ValueKind::F32,
    };
    network.layers.push(output);
    network
}

pub type Network = (&'static str, IntegerNetwork, Metadata);

/// All networks of integers, by name. They are made once.
pub fn integer_networks() -> Vec<Network> {
    static ALL: OnceLock<Vec<Network>> = OnceLock::new();
    let make = || {
        let mut all = Vec::new();
        for (name, quantization) in networks() {
            let Quantization {
                network, metadata, ..
            } = quantization;
            if name == "per_channel" {
                for (name, edited) in [
                    ("one_signed_scale", one_signed_scale(network.clone())),
                    ("fully_connected", fully_connected(network.clone())),
                ] {
                    all.push((name, edited, metadata.clone()));
                }
            }
            all.push((name, network, metadata));
        }
        all
    };
    ALL.get_or_init(make).clone()
}
