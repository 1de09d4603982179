//! Makes a network of integers of weights and of the ranges of its activations.
//!
//! ```text
//! weights   w * gamma / sqrt(variance + epsilon)                 -> levels 1 to 255 of their range
//! biases    beta - mean * gamma / sqrt(variance + epsilon)       -> units of input scale * weight scale
//! output    the activation's range                               -> levels 0 to 255
//! ```
//!
//! Pixels from -1 to 1 are integers as they are: 128 means 0, and a step is 1/128, as in Google's
//! networks. Others have a range like activations.

use mobilenet_kernels::fake_quantization::{Grid, Levels, WeightScheme, fold_factor};
use mobilenet_kernels::inference::Pooling;
use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType, Integers, Quantized,
    QuantizedConvolution, QuantizedWeights, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Normalizer, Padding};

use crate::architecture::{Layer, LayerName, Part, body_layers};
use crate::config::MobileNetV1Config;
use crate::endpoint::{LayerKind, head};
use crate::error::ModelError;
use crate::flat::FlatLayout;
use crate::pooling::pooling;

/// The scale of the integers of pixels from -1 to 1.
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
    /// Smallest and largest folded weight of each layer, in the same order, where training has kept
    /// them. `None`: they are measured. Only for one scale per tensor.
    pub weight_ranges: Option<&'a [[f32; 2]]>,
    /// How many scales the weights of a layer have. With one per tensor, integers are unsigned,
    /// otherwise signed.
    pub scheme: WeightScheme,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Smallest and largest value of a normalised pixel.
    pub pixels: [f32; 2],
}

impl Freeze<'_> {
    /// The network of integers, with a softmax at its end.
    ///
    /// # Errors
    /// If the network has no classifier or no batch normalisation, the number of weights or ranges
    /// is not that of the network, or one of them is not finite.
    pub fn network(&self) -> Result<IntegerNetwork, ModelError> {
        let layout = FlatLayout::new(self.config)?;
        let base = &self.config.base;
        let body = body_layers(base)?;
        self.check(&layout, body.len() + 1)?;
        let (Normalizer::BatchNorm(norm), Some(classes)) =
            (base.arg_scope.normalizer, self.config.classes())
        else {
            return Err(ModelError::Setting {
                setting: "the network to freeze",
                range: "with batch normalisation and a classifier",
                found: "a network without".to_string(),
            });
        };
        let input = self.input();
        let (mut last, mut layers) = (input, Vec::new());
        let [mut height, mut width] = self.size;
        for (index, (layer, range)) in body.iter().zip(self.ranges).enumerate() {
            let size = layer.size(1, height, width)?;
            (height, width) = (size.rows.output, size.columns.output);
            let convolution = self.convolution(&layout, index, layer, norm.epsilon, last);
            last = self.output(range);
            layers.push(IntegerLayer {
                name: layer.endpoint.to_string(),
                operation: IntegerOperation::Convolution(convolution),
                output: ValueKind::Quantized(last),
            });
        }
        layers.push(self.pool([height, width], last)?);
        layers.extend(self.head(&layout, classes, last));
        Ok(IntegerNetwork {
            input_shape: [self.size[0], self.size[1], base.in_channels],
            input: ValueKind::Quantized(input),
            layers,
        })
    }

    fn check(&self, layout: &FlatLayout, activations: usize) -> Result<(), ModelError> {
        if self.weights.len() != layout.len() {
            return Err(ModelError::ParameterCount {
                expected: layout.len(),
                found: self.weights.len(),
            });
        }
        if self.ranges.len() != activations {
            return Err(ModelError::Setting {
                setting: "ranges",
                range: "one for each activation",
                found: format!("{} for {activations} activations", self.ranges.len()),
            });
        }
        if let Some(ranges) = self.weight_ranges
            && (ranges.len() != activations || self.scheme != WeightScheme::PerTensor)
        {
            return Err(ModelError::Setting {
                setting: "ranges of weights",
                range: "one for each layer, with one scale per tensor",
                found: format!("{} for {activations} layers", ranges.len()),
            });
        }
        let ranges = self.ranges.iter().chain([&self.pixels]);
        let ranges = ranges.chain(self.weight_ranges.unwrap_or_default());
        let mut numbers = self.weights.iter().chain(ranges.flatten());
        match numbers.find(|number| !number.is_finite()) {
            None => Ok(()),
            Some(number) => Err(ModelError::Setting {
                setting: "weights and ranges",
                range: "finite",
                found: number.to_string(),
            }),
        }
    }

    /// What the integers of a pixel mean.
    pub fn input(&self) -> Quantized {
        let [least, most] = self.pixels;
        if least < -1.0 || most > 1.0 {
            return self.output(&self.pixels);
        }
        let integer = self.integer();
        Quantized {
            integer,
            scale: PIXEL,
            zero_point: 128 + integer.min(),
        }
    }

    /// The range that training has kept of a layer's weights.
    fn weight_range(&self, layer: usize) -> Option<[f32; 2]> {
        self.weight_ranges?.get(layer).copied()
    }

    fn integer(&self) -> IntegerType {
        match self.scheme {
            WeightScheme::PerTensor => IntegerType::U8,
            WeightScheme::PerChannel => IntegerType::I8,
        }
    }

    /// What the integers of an activation mean.
    fn output(&self, &[min, max]: &[f32; 2]) -> Quantized {
        let (integer, grid) = (self.integer(), Grid::new(min, max, Levels::Wide));
        Quantized {
            integer,
            scale: scale(&grid),
            zero_point: i32::from(grid.zero_point()) + integer.min(),
        }
    }

    fn convolution(
        &self,
        layout: &FlatLayout,
        index: usize,
        layer: &Layer,
        epsilon: f64,
        input: Quantized,
    ) -> QuantizedConvolution {
        let name = LayerName::Body(layer.endpoint);
        let get = |part| layout.range(name, part).map(|range| &self.weights[range]);
        let fold = |channel: usize| {
            let of = |part, otherwise| get(part).map_or(otherwise, |values| values[channel]);
            let (gamma, variance) = (of(Part::Gamma, 1.0), of(Part::MovingVariance, 1.0));
            let factor = f64::from(gamma) / (f64::from(variance) + epsilon).sqrt();
            let mean = f64::from(of(Part::MovingMean, 0.0));
            let bias = f64::from(of(Part::Beta, 0.0)) - mean * factor;
            (fold_factor(gamma, variance, epsilon), bias)
        };
        let weights = get(Part::Weights).unwrap_or_default();
        let folded = Folded::new(weights, layer.out_channels, fold);
        let range = self.weight_range(index);
        let kind = match layer.endpoint.kind {
            LayerKind::Depthwise => ConvKind::Depthwise,
            LayerKind::Conv | LayerKind::Pointwise => ConvKind::Conv,
        };
        let taps = layer.geometry.kernel.iter().product();
        let (weights, bias) = folded.integers(self.scheme, range, kind, taps, input.scale);
        QuantizedConvolution {
            kind,
            geometry: layer.geometry,
            out_channels: layer.out_channels,
            weights,
            bias,
            activation: self.config.base.arg_scope.activation,
            fully_connected: false,
        }
    }

    /// The mean of the last map.
    fn pool(&self, map: [usize; 2], values: Quantized) -> Result<IntegerLayer, ModelError> {
        let (name, kernel) = match pooling(self.config.global_pool, map)? {
            Pooling::Global => (head::GLOBAL_POOL, map),
            Pooling::Window([rows, columns]) => {
                (head::AVG_POOL, [rows.min(map[0]), columns.min(map[1])])
            }
        };
        Ok(IntegerLayer {
            name: name.to_string(),
            operation: IntegerOperation::AveragePool(ConvGeometry {
                kernel,
                stride: 1,
                dilation: 1,
                padding: Padding::symmetric(0),
            }),
            output: ValueKind::Quantized(values),
        })
    }

    /// The classifier and the softmax.
    fn head(&self, layout: &FlatLayout, classes: usize, input: Quantized) -> [IntegerLayer; 3] {
        let get = |part| {
            let range = layout.range(LayerName::Logits, part);
            range.map_or(&[][..], |range| &self.weights[range])
        };
        let biases = get(Part::Biases);
        let folded = Folded::new(get(Part::Weights), classes, |class| {
            (1.0, f64::from(biases.get(class).copied().unwrap_or(0.0)))
        });
        let range = self.weight_range(self.ranges.len() - 1);
        let (weights, bias) = folded.integers(self.scheme, range, ConvKind::Conv, 1, input.scale);
        let convolution = QuantizedConvolution {
            kind: ConvKind::Conv,
            geometry: ConvGeometry::POINTWISE,
            out_channels: classes,
            weights,
            bias,
            activation: Activation::Identity,
            fully_connected: false,
        };
        let logits = self.ranges.last().map(|range| self.output(range));
        let logits = logits.unwrap_or(input);
        let integer = self.integer();
        let probabilities = Quantized {
            integer,
            scale: 1.0 / 256.0,
            zero_point: integer.min(),
        };
        let softmax = IntegerOperation::Softmax { beta: 1.0 };
        let convolution = IntegerOperation::Convolution(convolution);
        [
            (head::LOGITS, convolution, logits),
            ("Squeeze", IntegerOperation::Flatten, logits),
            (head::PREDICTIONS, softmax, probabilities),
        ]
        .map(|(name, operation, output)| IntegerLayer {
            name: name.to_string(),
            operation,
            output: ValueKind::Quantized(output),
        })
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
        range: Option<[f32; 2]>,
        kind: ConvKind,
        taps: usize,
        input: f32,
    ) -> (QuantizedWeights, Vec<i32>) {
        let channels = self.biases.len();
        let depth = (self.weights.len() / channels.max(1)).max(1);
        let grid = |weights: &[f32], biases: &[f64]| {
            let measured = || {
                weights.iter().fold([0.0f32; 2], |[low, high], &weight| {
                    [low.min(weight), high.max(weight)]
                })
            };
            let [low, high] = range.unwrap_or_else(measured);
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
