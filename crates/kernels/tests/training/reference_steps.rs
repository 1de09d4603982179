//! A training step composed of the naive reference's layers, in f64.

use mobilenet_kernels::training::{TrainingLayer, TrainingNetwork, TrainingOptions};
use mobilenet_kernels::{ConvKind, ConvSize, reference};

/// A network, its random parameters, and its options.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) network: TrainingNetwork,
    pub(crate) parameters: Vec<f32>,
    pub(crate) options: TrainingOptions,
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// The reference's results for a case.
pub(crate) struct Expected {
    pub(crate) logits: Vec<f64>,
    pub(crate) gradients: Vec<f64>,
    pub(crate) running: Vec<f64>,
}

/// Values of a layer's forward pass that its backward pass needs.
struct Kept {
    size: ConvSize,
    input: Vec<f64>,
    weights: Vec<f64>,
    z: Vec<f64>,
    statistics: reference::BatchStatistics,
}

/// Converts the parameters' `[out, depth, taps]` to the reference's `[taps, depth, out]`.
fn taps_first(weights: &[f64], [out, inputs, taps]: [usize; 3]) -> Vec<f64> {
    let mut result = vec![0.0; weights.len()];
    for_each_weight([out, inputs, taps], |from, to| result[to] = weights[from]);
    result
}

fn for_each_weight([out, inputs, taps]: [usize; 3], mut visit: impl FnMut(usize, usize)) {
    for o in 0..out {
        for i in 0..inputs {
            for t in 0..taps {
                visit((o * inputs + i) * taps + t, (t * inputs + i) * out + o);
            }
        }
    }
}

pub(crate) fn weight_dims(layer: &TrainingLayer) -> [usize; 3] {
    let taps = layer.geometry.kernel[0] * layer.geometry.kernel[1];
    match layer.kind {
        ConvKind::Conv => [layer.out_channels, layer.in_channels, taps],
        ConvKind::Depthwise => [layer.out_channels, 1, taps],
    }
}

/// Of the running statistics.
pub(crate) const DECAY: f64 = 0.9;

pub(crate) fn expected(
    case: &Case,
    images: &[f32],
    dropout: &[f32],
    logit_gradients: &[f32],
) -> Expected {
    let parameters = wide(&case.parameters);
    let (network, batch) = (&case.network, case.options.batch);
    let epsilon = network.epsilon;
    let slice = |place: usize, len: usize| parameters[place..place + len].to_vec();
    let mut running = parameters.clone();
    let mut gradients = vec![0.0; parameters.len()];
    let [mut height, mut width, _] = network.image;
    let mut activation = wide(images);
    let mut kept: Vec<Kept> = Vec::new();
    for layer in &network.layers {
        let size = layer.geometry.resolve(batch, height, width).unwrap();
        (height, width) = (size.rows.output, size.columns.output);
        let dims = weight_dims(layer);
        let weights = taps_first(&slice(layer.weights, dims.iter().product()), dims);
        let channels = layer.out_channels;
        let z = match layer.kind {
            ConvKind::Conv => {
                reference::conv(&activation, &weights, &size, layer.in_channels, channels)
            }
            ConvKind::Depthwise => reference::depthwise(&activation, &weights, &size, channels, 1),
        };
        let gamma = slice(layer.gamma.unwrap(), channels);
        let beta = slice(layer.beta.unwrap(), channels);
        let (output, statistics) =
            reference::batch_norm_of_batch(&z, &gamma, &beta, epsilon, layer.activation);
        let count = (z.len() / channels) as f64;
        for c in 0..channels {
            let mean = &mut running[layer.running_mean + c];
            *mean = *mean * DECAY + statistics.mean[c] * (1.0 - DECAY);
            let unbiased = statistics.variance[c] * count / (count - 1.0).max(1.0);
            let variance = &mut running[layer.running_variance + c];
            *variance = *variance * DECAY + unbiased * (1.0 - DECAY);
        }
        let input = std::mem::replace(&mut activation, output);
        kept.push(Kept {
            size,
            input,
            weights,
            z,
            statistics,
        });
    }
    let (channels, classes) = (
        network.layers.last().unwrap().out_channels,
        network.head.classes,
    );
    let (rows, columns) = (height.min(7), width.min(7));
    let window = |visit: &mut dyn FnMut(usize, usize)| {
        for b in 0..batch {
            for y in 0..rows {
                for x in 0..columns {
                    for c in 0..channels {
                        let place = ((b * height + y) * width + x) * channels + c;
                        visit(place, b * channels + c);
                    }
                }
            }
        }
    };
    let share = 1.0 / (rows * columns) as f64;
    let mut features = vec![0.0; batch * channels];
    window(&mut |place, feature| {
        features[feature] += activation[place] * share * f64::from(dropout[feature]);
    });
    let (weights, bias) = (
        slice(network.head.weights, classes * channels),
        slice(network.head.bias, classes),
    );
    let logits = reference::pointwise(&features, &weights, Some(&bias), batch, channels, classes);
    let mut feature_gradients = vec![0.0; batch * channels];
    for b in 0..batch {
        for o in 0..classes {
            let g = f64::from(logit_gradients[b * classes + o]);
            gradients[network.head.bias + o] += g;
            for c in 0..channels {
                gradients[network.head.weights + o * channels + c] +=
                    g * features[b * channels + c];
                feature_gradients[b * channels + c] += g * weights[o * channels + c];
            }
        }
    }
    let mut gradient = vec![0.0; activation.len()];
    window(&mut |place, feature| {
        gradient[place] = feature_gradients[feature] * share * f64::from(dropout[feature]);
    });
    for (layer, kept) in network.layers.iter().zip(&kept).rev() {
        let channels = layer.out_channels;
        let gamma = slice(layer.gamma.unwrap(), channels);
        let beta = slice(layer.beta.unwrap(), channels);
        let (dz, dgamma, dbeta) = reference::batch_norm_gradients(
            &kept.z,
            &kept.statistics,
            &gamma,
            &beta,
            epsilon,
            layer.activation,
            &gradient,
        );
        put(&mut gradients, layer.gamma.unwrap(), &dgamma);
        put(&mut gradients, layer.beta.unwrap(), &dbeta);
        let (dx, dw) = match layer.kind {
            ConvKind::Conv => reference::conv_gradients(
                &kept.input,
                &kept.weights,
                &kept.size,
                layer.in_channels,
                channels,
                &dz,
            ),
            ConvKind::Depthwise => reference::depthwise_gradients(
                &kept.input,
                &kept.weights,
                &kept.size,
                channels,
                1,
                &dz,
            ),
        };
        for_each_weight(weight_dims(layer), |to, from| {
            gradients[layer.weights + to] = dw[from];
        });
        gradient = dx;
    }
    Expected {
        logits,
        gradients,
        running,
    }
}

fn put(target: &mut [f64], place: usize, values: &[f64]) {
    target[place..place + values.len()].copy_from_slice(values);
}
