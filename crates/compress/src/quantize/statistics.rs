//! What the float network does on photos: the range of each activation, and the means that weights
//! see.
//!
//! A layer's mean output is linear in the mean of what each tap reads, over photos and positions:
//!
//! ```text
//! mean(sum + bias) = sum over taps of weight * mean(input at the tap) + bias
//! ```

use mobilenet_kernels::{ConvKind, ConvSize};
use rayon::prelude::*;

use super::float_network::FloatNetwork;
use super::layer::Shape;
use super::range::Histogram;
use mobilenet_model::ModelError;

/// Sums of what each tap of a layer reads, over positions and photos. A tap on padding reads 0.
#[derive(Debug, Clone)]
pub(crate) struct TapSums {
    /// `[in channels, taps]`.
    sums: Vec<f64>,
    taps: usize,
    positions: f64,
}

impl TapSums {
    /// For one map of `[rows, columns, channels]`.
    pub(crate) fn of_map<T: Copy + Into<f64>>(
        windows: &ConvSize,
        channels: usize,
        map: &[T],
    ) -> Self {
        let (rows, columns) = (&windows.rows, &windows.columns);
        let taps = rows.kernel * columns.kernel;
        let mut sums = vec![0.0; channels * taps];
        for y in 0..rows.output {
            for tap_y in rows.taps(y) {
                let Some(row) = rows.source(y, tap_y) else {
                    continue;
                };
                for x in 0..columns.output {
                    for tap_x in columns.taps(x) {
                        let Some(column) = columns.source(x, tap_x) else {
                            continue;
                        };
                        let pixel = (row * columns.input + column) * channels;
                        let tap = tap_y * columns.kernel + tap_x;
                        let pixel = map[pixel..pixel + channels].iter();
                        for (sums, &value) in sums.chunks_exact_mut(taps).zip(pixel) {
                            sums[tap] += value.into();
                        }
                    }
                }
            }
        }
        Self {
            sums,
            taps,
            positions: (rows.output * columns.output) as f64,
        }
    }

    /// Adds those of another map.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum += more;
        }
        self.positions += other.positions;
    }

    /// The mean of `sum over taps of weight * input` for each output channel. `weight` takes the
    /// index of a weight in `[out, in, taps]`.
    pub(crate) fn mean_sums(&self, shape: &Shape, weight: impl Fn(usize) -> f64) -> Vec<f64> {
        let length = shape.filter_len();
        let per_input = (shape.out_channels / shape.in_channels.max(1)).max(1);
        let mean_sum = |out: usize| {
            let sums = match shape.kind {
                ConvKind::Conv => &self.sums[..],
                ConvKind::Depthwise => &self.sums[out / per_input * self.taps..],
            };
            let products = sums.iter().take(length).enumerate();
            let products = products.map(|(index, sum)| sum * weight(out * length + index));
            products.sum::<f64>() / self.positions
        };
        (0..shape.out_channels).map(mean_sum).collect()
    }
}

/// What happens in the float network.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    /// What the taps of each layer read, the classifier's included.
    pub(crate) taps: Vec<TapSums>,
    /// Each layer's output, the classifier's included.
    pub(crate) outputs: Vec<Histogram>,
    /// The pooled features.
    pub(crate) features: Histogram,
    /// The largest value of each channel after each layer.
    pub(crate) largest: Vec<Vec<f32>>,
}

/// Photos whose statistics are in memory at a time.
const TOGETHER: usize = 16;

impl Statistics {
    /// Statistics of a network over images. They do not depend on the number of threads. `None`
    /// without images.
    ///
    /// # Errors
    /// If an image has another length.
    pub(crate) fn new(
        network: &FloatNetwork,
        images: &[Vec<f32>],
    ) -> Result<Option<Self>, ModelError> {
        let mut all: Option<Self> = None;
        for images in images.chunks(TOGETHER) {
            let each = images
                .par_iter()
                .map(|image| Self::of_image(network, image));
            for one in each.collect::<Result<Vec<_>, _>>()? {
                match &mut all {
                    Some(all) => all.merge(one),
                    None => all = Some(one),
                }
            }
        }
        Ok(all)
    }

    fn merge(&mut self, other: Self) {
        self.features.merge(&other.features);
        let largest = self.largest.iter_mut().flatten();
        for (most, more) in largest.zip(other.largest.iter().flatten()) {
            *most = most.max(*more);
        }
        for (sum, more) in self.taps.iter_mut().zip(&other.taps) {
            sum.merge(more);
        }
        for (sum, more) in self.outputs.iter_mut().zip(&other.outputs) {
            sum.merge(more);
        }
    }

    fn of_image(network: &FloatNetwork, image: &[f32]) -> Result<Self, ModelError> {
        let activations = network.run(image)?;
        let inputs = std::iter::once(image).chain(activations.body.iter().map(Vec::as_slice));
        let inputs = inputs.take(network.body.len());
        let inputs = inputs.chain(
            network
                .logits
                .iter()
                .map(|_| activations.features.as_slice()),
        );
        let mut taps = Vec::new();
        for ((layer, windows), input) in network.layers().zip(&network.windows).zip(inputs) {
            taps.push(TapSums::of_map(windows, layer.shape.in_channels, input));
        }
        let outputs = activations.body.iter().chain(&activations.logits);
        let largest = network.layers().zip(outputs.clone());
        let largest = largest.map(|(layer, map)| largest_of(map, layer.shape.out_channels));
        Ok(Self {
            taps,
            largest: largest.collect(),
            outputs: outputs.map(|map| Histogram::of(map)).collect(),
            features: Histogram::of(&activations.features),
        })
    }
}

/// The largest value of each channel, at least 0.
fn largest_of(map: &[f32], channels: usize) -> Vec<f32> {
    let mut largest = vec![0f32; channels];
    for pixel in map.chunks(channels.max(1)) {
        for (most, value) in largest.iter_mut().zip(pixel) {
            *most = most.max(*value);
        }
    }
    largest
}
