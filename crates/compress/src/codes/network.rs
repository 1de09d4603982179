//! Compresses a network layer by layer, each on what the compressed layers before it make of the
//! photos, so that later layers make up for errors of earlier ones.

use std::collections::BTreeMap;

use half::f16;
use mobilenet_kernels::{ConvKind, ConvSize};
use rayon::prelude::*;

use super::codebook::Codebook;
use super::options::CompressOptions;
use crate::quantize::float_network::FloatNetwork;
use crate::quantize::layer::{Layer, Shape};
use crate::quantize::patches::Patches;
use crate::quantize::rounding::ErrorModel;
use crate::quantize::statistics::{Statistics, TapSums};
use mobilenet_model::ModelError;
use mobilenet_model::array::Array;
use mobilenet_model::checkpoint::{Checkpoint, CodedTensor, CodedTensors};

/// A network whose weights have few distinct values.
#[derive(Debug, Clone)]
pub struct Compressed {
    /// The network in f32, batch normalisation folded: what a reader makes of the symbols.
    pub checkpoint: Checkpoint,
    /// The symbols.
    pub coded: CodedTensors,
}

/// Compresses a network. `images` are photos after the checkpoint's preprocessing; without any,
/// weights are rounded to the nearest values. In memory are two maps of each photo at a time, 3 MB
/// each at 1.0/224. Work is done on rayon's threads; their number does not change the result.
///
/// # Errors
/// If an image has another size than the checkpoint's, or a setting is out of range.
pub fn compress(
    checkpoint: &Checkpoint,
    images: &[Vec<f32>],
    options: &CompressOptions,
) -> Result<Compressed, ModelError> {
    options.check()?;
    let mut checkpoint = checkpoint.clone();
    if !checkpoint.metadata.folded {
        checkpoint = checkpoint.fold()?;
    }
    let float = FloatNetwork::new(&checkpoint)?;
    let facts = Statistics::new(&float, images)?;
    let coded = float.layers().filter(|layer| is_coded(&layer.shape));
    let coded: Vec<_> = coded
        .map(|layer| (layer.weights.as_slice(), layer.shape.filter_len()))
        .collect();
    let mut books = Codebook::of_layers(&coded, options).into_iter();
    let mut maps = images.to_vec();
    let mut tensors = BTreeMap::new();
    for (index, (original, windows)) in float.layers().zip(&float.windows).enumerate() {
        if index == float.body.len() {
            maps = maps.iter().map(|map| float.pooled(map)).collect();
        }
        let mut layer = original.clone();
        let weight = format!("{}.weight", layer.shape.name);
        let book = is_coded(&layer.shape).then(|| books.next()).flatten();
        match book {
            Some(book) => {
                let symbols = symbols(&layer, &book, &maps, windows)?;
                let coded = CodedTensor {
                    shape: layer.shape.weights().to_vec(),
                    levels: book.levels,
                    scales: book.scales,
                    symbols,
                };
                coded.decode_into(&mut layer.weights);
                tensors.insert(weight.clone(), coded);
            }
            None => round_to_half(&mut layer.weights),
        }
        if let Some(facts) = &facts {
            let weight = |index: usize| f64::from(original.weights[index]);
            let target = facts.taps[index].mean_sums(&layer.shape, weight);
            correct_bias(&mut layer, &target, &maps, windows);
        }
        round_to_half(&mut layer.bias);
        maps = maps
            .par_iter()
            .map(|map| layer.run(map, windows))
            .collect::<Result<_, _>>()?;
        let bias = format!("{}.bias", layer.shape.name);
        for (name, values) in [(weight, layer.weights), (bias, layer.bias)] {
            let parameter = checkpoint.parameters.get_mut(&name);
            let parameter = parameter.ok_or(ModelError::Missing { name })?;
            *parameter = Array::new(parameter.shape(), values)?;
        }
    }
    Ok(Compressed {
        checkpoint,
        coded: CodedTensors {
            method: options.method.to_string(),
            tensors,
        },
    })
}

/// Whether a layer's weights are worth coding.
fn is_coded(shape: &Shape) -> bool {
    shape.kind == ConvKind::Conv && shape.geometry.is_pointwise()
}

/// The symbols of a layer's weights: on photos those whose errors cancel, otherwise the nearest.
fn symbols(
    layer: &Layer,
    book: &Codebook,
    maps: &[Vec<f32>],
    windows: &ConvSize,
) -> Result<Vec<u8>, ModelError> {
    let model = error_model(&layer.shape, maps, windows)?;
    let filters = layer.weights.par_chunks(layer.shape.filter_len().max(1));
    let rows = filters.zip(&book.scales).map(|(filter, scale)| {
        let relative: Vec<f32> = filter.iter().map(|weight| weight / scale).collect();
        let nearest = |value| book.nearest(value);
        match &model {
            Some(model) => model.choose(&relative, nearest),
            None => relative.iter().map(|&v| nearest(f64::from(v)).0).collect(),
        }
    });
    let rows: Vec<Vec<u8>> = rows.collect();
    Ok(rows.concat())
}

/// How errors of the weights add up on what the layer reads of the photos.
fn error_model(
    shape: &Shape,
    maps: &[Vec<f32>],
    windows: &ConvSize,
) -> Result<Option<ErrorModel>, ModelError> {
    let Some(length) = maps.first().map(Vec::len) else {
        return Ok(None);
    };
    let at = |index: usize| {
        let value = maps.get(index / length).and_then(|m| m.get(index % length));
        value.copied().unwrap_or(0.0)
    };
    let patches = Patches::new(windows, shape.in_channels, maps.len(), at);
    Ok(patches.error_models(shape)?.into_iter().next().flatten())
}

/// Rounds values to f16 if it has room for all.
pub(super) fn round_to_half(values: &mut [f32]) {
    let half = |value: f32| f16::from_f32(value).to_f32();
    if values.iter().all(|&value| half(value).is_finite()) {
        values.iter_mut().for_each(|value| *value = half(*value));
    }
}

/// Moves the biases by what the mean of each channel's sums over the photos, without the bias, is
/// short of `target`.
fn correct_bias(layer: &mut Layer, target: &[f64], maps: &[Vec<f32>], windows: &ConvSize) {
    let channels = layer.shape.in_channels;
    let sums: Vec<TapSums> = maps
        .par_iter()
        .map(|map| TapSums::of_map(windows, channels, map))
        .collect();
    // Added in the order of the photos, so that the sums are always the same.
    let sums = sums.into_iter().reduce(|mut all, one| {
        all.merge(&one);
        all
    });
    let Some(sums) = sums else { return };
    let ours = sums.mean_sums(&layer.shape, |index| f64::from(layer.weights[index]));
    for ((bias, target), ours) in layer.bias.iter_mut().zip(target).zip(ours) {
        *bias = (f64::from(*bias) + target - ours) as f32;
    }
}
