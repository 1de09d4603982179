//! Makes a network of integers of weights and of the ranges of its activations.
//!
//! ```text
//! weights   w * gamma / sqrt(variance + epsilon)                 -> levels 1 to 255 of their range
//! biases    beta - mean * gamma / sqrt(variance + epsilon)       -> units of input scale * weight scale
//! output    the activation's range                               -> levels 0 to 255
//! ```
//!
//! Pixels are integers as they are: 128 means 0, and a step is 1/128, as in Google's networks.

use mobilenet_kernels::fake_quantization::{Grid, Levels, WeightScheme, fold_factor};
use mobilenet_kernels::inference::Pooling;
use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType, Integers, Quantized,
    QuantizedConvolution, QuantizedWeights, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Normalizer, Padding};

use crate::architecture::{LayerName, Part, body_layers};
use crate::config::MobileNetV1Config;
use crate::endpoint::{LayerKind, head};
use crate::error::ModelError;
use crate::flat::FlatLayout;
use crate::pooling::pooling;

/// The scale of the pixels' integers.
pub const PIXEL: f32 = 1.0 / 128.0;

/// The scale of weights or activations that are all 0. Any would do; with this one, biases fit
/// their integers.
const EMPTY_SCALE: f32 = 1e-4;

/// Largest bias as an integer. There is as much room again for the sum of products.
const LARGEST_BIAS: f64 = (1 << 30) as f64;

/// What to freeze.
#[derive(Debug, Clone, Copy)]
pub struct Freeze<'a> {
    /// The network.
    pub config: &'a MobileNetV1Config,
    /// Its parameters, in the order of [`FlatLayout`].
    pub weights: &'a [f32],
    /// Smallest and largest value of each activation, in order, and of the logits.
    pub ranges: &'a [[f32; 2]],
    /// How many scales the weights of a layer have. With one per tensor, integers are unsigned,
    /// otherwise signed.
    pub scheme: WeightScheme,
    /// Rows and columns of an image.
    pub size: [usize; 2],
}

impl Freeze<'_> {
    /// The network of integers, with a softmax at its end.
    ///
    /// # Errors
    /// If the network has no classifier or no batch normalisation, the number of weights or ranges
    /// is not that of the network, or one of them is not finite.
    pub fn network(&self) -> Result<IntegerNetwork, ModelError> {
        let layout = FlatLayout::new(self.config)?;
        if self.weights.len() != layout.len() {
            return Err(ModelError::ParameterCount {
                expected: layout.len(),
                found: self.weights.len(),
            });
        }
        let base = &self.config.base;
        let body = body_layers(base)?;
        let setting = |setting, range, found| ModelError::Setting {
            setting,
            range,
            found,
        };
        if self.ranges.len() != body.len() + 1 {
            let found = format!("{} for {} activations", self.ranges.len(), body.len() + 1);
            return Err(setting("ranges", "one for each activation", found));
        }
        let numbers = self.weights.iter().chain(self.ranges.iter().flatten());
        if let Some(number) = numbers.into_iter().find(|number| !number.is_finite()) {
            let found = number.to_string();
            return Err(setting("weights and ranges", "finite", found));
        }
        let (Normalizer::BatchNorm(norm), Some(classes)) =
            (base.arg_scope.normalizer, self.config.classes())
        else {
            let found = "a network without".to_string();
            let range = "with batch normalisation and a classifier";
            return Err(setting("the network to freeze", range, found));
        };
        let integer = match self.scheme {
            WeightScheme::PerTensor => IntegerType::U8,
            WeightScheme::PerChannel => IntegerType::I8,
        };
        let mut ranges = self.ranges.iter();
        let mut next_output = || {
            let [min, max] = ranges.next().copied().unwrap_or_default();
            quantized(integer, &Grid::new(min, max, Levels::Wide))
        };
        let input = Quantized {
            integer,
            scale: PIXEL,
            zero_point: 128 + integer.min(),
        };
        let (mut scale, mut layers) = (input.scale, Vec::new());
        let [mut height, mut width] = self.size;
        let mut last = input;
        for layer in &body {
            let size = layer.size(1, height, width)?;
            (height, width) = (size.rows.output, size.columns.output);
            let name = LayerName::Body(layer.endpoint);
            let get = |part| layout.range(name, part).map(|range| &self.weights[range]);
            let [rows, columns] = layer.geometry.kernel;
            let folded = Folded::new(
                get(Part::Weights).unwrap_or_default(),
                layer.out_channels,
                |channel| {
                    let of = |part, otherwise| get(part).map_or(otherwise, |v| v[channel]);
                    let variance = of(Part::MovingVariance, 1.0);
                    let gamma = of(Part::Gamma, 1.0);
                    let factor = f64::from(gamma) / (f64::from(variance) + norm.epsilon).sqrt();
                    let mean = f64::from(of(Part::MovingMean, 0.0));
                    let bias = f64::from(of(Part::Beta, 0.0)) - mean * factor;
                    (fold_factor(gamma, variance, norm.epsilon), bias)
                },
            );
            let kind = match layer.endpoint.kind {
                LayerKind::Depthwise => ConvKind::Depthwise,
                LayerKind::Conv | LayerKind::Pointwise => ConvKind::Conv,
            };
            let (weights, bias) = folded.integers(self.scheme, kind, rows * columns, scale);
            last = next_output();
            scale = last.scale;
            let convolution = QuantizedConvolution {
                kind,
                geometry: layer.geometry,
                out_channels: layer.out_channels,
                weights,
                bias,
                activation: base.arg_scope.activation,
                fully_connected: false,
            };
            layers.push(IntegerLayer {
                name: layer.endpoint.to_string(),
                operation: IntegerOperation::Convolution(convolution),
                output: ValueKind::Quantized(last),
            });
        }
        let (name, window) = match pooling(self.config.global_pool, [height, width])? {
            Pooling::Global => (head::GLOBAL_POOL, [height, width]),
            Pooling::Window([rows, columns]) => {
                (head::AVG_POOL, [rows.min(height), columns.min(width)])
            }
        };
        layers.push(IntegerLayer {
            name: name.to_string(),
            operation: IntegerOperation::AveragePool(ConvGeometry {
                kernel: window,
                stride: 1,
                dilation: 1,
                padding: Padding::symmetric(0),
            }),
            output: ValueKind::Quantized(last),
        });
        let get = |part| {
            let range = layout.range(LayerName::Logits, part);
            range.map_or(&[][..], |range| &self.weights[range])
        };
        let biases = get(Part::Biases);
        let folded = Folded::new(get(Part::Weights), classes, |class| {
            (1.0, f64::from(biases.get(class).copied().unwrap_or(0.0)))
        });
        let (weights, bias) = folded.integers(self.scheme, ConvKind::Conv, 1, scale);
        let logits = ValueKind::Quantized(next_output());
        let convolution = QuantizedConvolution {
            kind: ConvKind::Conv,
            geometry: ConvGeometry::POINTWISE,
            out_channels: classes,
            weights,
            bias,
            activation: Activation::Identity,
            fully_connected: false,
        };
        for (name, operation, output) in [
            (
                head::LOGITS,
                IntegerOperation::Convolution(convolution),
                logits,
            ),
            ("Squeeze", IntegerOperation::Flatten, logits),
            (
                head::PREDICTIONS,
                IntegerOperation::Softmax { beta: 1.0 },
                ValueKind::Quantized(Quantized {
                    integer,
                    scale: 1.0 / 256.0,
                    zero_point: integer.min(),
                }),
            ),
        ] {
            layers.push(IntegerLayer {
                name: name.to_string(),
                operation,
                output,
            });
        }
        Ok(IntegerNetwork {
            input_shape: [self.size[0], self.size[1], base.in_channels],
            input: ValueKind::Quantized(input),
            layers,
        })
    }
}

/// The meaning of an activation's integers.
fn quantized(integer: IntegerType, grid: &Grid) -> Quantized {
    Quantized {
        integer,
        scale: scale(grid),
        zero_point: i32::from(grid.zero_point()) + integer.min(),
    }
}

fn scale(grid: &Grid) -> f32 {
    match grid.scale() {
        0.0 => EMPTY_SCALE,
        scale => scale,
    }
}

/// Weights and biases into which batch normalisation is folded.
struct Folded {
    /// `[out, in, taps]`.
    weights: Vec<f32>,
    biases: Vec<f64>,
}

impl Folded {
    /// `fold` is the factor and the bias of a channel.
    fn new(weights: &[f32], channels: usize, fold: impl Fn(usize) -> (f32, f64)) -> Self {
        let depth = (weights.len() / channels.max(1)).max(1);
        let folds: Vec<_> = (0..channels).map(fold).collect();
        let rows = weights.chunks(depth).zip(&folds);
        Self {
            weights: rows
                .flat_map(|(row, (factor, _))| row.iter().map(move |weight| weight * factor))
                .collect(),
            biases: folds.iter().map(|(_, bias)| *bias).collect(),
        }
    }

    /// The integers, for inputs of a scale.
    fn integers(
        &self,
        scheme: WeightScheme,
        kind: ConvKind,
        taps: usize,
        input: f32,
    ) -> (QuantizedWeights, Vec<i32>) {
        let channels = self.biases.len();
        let depth = (self.weights.len() / channels.max(1)).max(1);
        let grid = |weights: &[f32], biases: &[f64]| {
            let (low, high) = weights
                .iter()
                .fold((0.0f32, 0.0f32), |(low, high), &weight| {
                    (low.min(weight), high.max(weight))
                });
            let grid = Grid::of_weights(scheme, low, high);
            // Weights that are almost 0 would make the bias overflow. They need no such small steps.
            let bias = biases
                .iter()
                .fold(0.0f64, |most, bias| most.max(bias.abs()));
            let least = (bias / (LARGEST_BIAS * f64::from(input))) as f32;
            match scale(&grid) < least {
                true => Grid::of_weights(scheme, -127.0 * least, 127.0 * least),
                false => grid,
            }
        };
        let grids: Vec<Grid> = match scheme {
            WeightScheme::PerTensor => vec![grid(&self.weights, &self.biases)],
            WeightScheme::PerChannel => {
                let channels = self.weights.chunks(depth).zip(self.biases.chunks(1));
                channels
                    .map(|(weights, bias)| grid(weights, bias))
                    .collect()
            }
        };
        let of_channel = |channel: usize| &grids[channel.min(grids.len() - 1)];
        // `[out, in, taps]` become `[out, taps, in]`, or `[taps, out]` if there is one input.
        let inputs = depth / taps;
        let mut levels = vec![0; self.weights.len()];
        for (index, &weight) in self.weights.iter().enumerate() {
            let (channel, input, tap) = (index / depth, index % depth / taps, index % taps);
            let to = match kind {
                ConvKind::Conv => (channel * taps + tap) * inputs + input,
                ConvKind::Depthwise => tap * channels + channel,
            };
            levels[to] = of_channel(channel).level(weight);
        }
        let values = match scheme {
            WeightScheme::PerTensor => Integers::U8(levels),
            WeightScheme::PerChannel => {
                Integers::I8(levels.iter().map(|&level| (level ^ 0x80) as i8).collect())
            }
        };
        let offset = values.integer().min();
        let zero_point = |grid: &Grid| i32::from(grid.zero_point()) + offset;
        let bias = |(channel, &bias): (usize, &f64)| {
            let unit = f64::from(input) * f64::from(scale(of_channel(channel)));
            (bias / unit).round() as i32
        };
        let weights = QuantizedWeights {
            values,
            scales: grids.iter().map(scale).collect(),
            zero_points: grids.iter().map(zero_point).collect(),
        };
        (weights, self.biases.iter().enumerate().map(bias).collect())
    }
}
