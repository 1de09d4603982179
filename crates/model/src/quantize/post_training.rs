//! Quantises a network layer by layer, each on what the integers before it make of the photos.

use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, Quantized, QuantizedConvolution, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvSize};
use rayon::prelude::*;

use super::codes::{CodeLayer, zero_code};
use super::comparison::Comparison;
use super::equalization::equalize;
use super::float_network::FloatNetwork;
use super::input_rule::InputRule;
use super::layer::Layer;
use super::options::QuantizeOptions;
use super::range::{Histogram, covering};
use super::simulation::Simulation;
use super::statistics::{Statistics, TapSums};
use super::weights::{IntegerWeights, integer_type};
use crate::checkpoint::{Checkpoint, Metadata};
use crate::endpoint::head;
use crate::error::ModelError;
use crate::pooling::POOL_STRIDE;

/// Names of layers without numbers of their own.
const QUANTIZE: &str = "quantize";
const FLATTEN: &str = "logits";
const FEATURES: &str = "features";

/// A network of integers and what it was made from.
pub struct Quantization {
    /// The network: its input is a photo's samples where all channels are normalised in the same
    /// way, and else numbers; its output are probabilities, or features without a classifier.
    pub network: IntegerNetwork,
    /// The float network's metadata. Preprocessing is such that the first integers are exact.
    pub metadata: Metadata,
    float: FloatNetwork,
    /// By which equalisation has scaled the channels of each layer of the body.
    factors: Vec<Vec<f32>>,
    simulation: Simulation,
}

/// Quantises a network. `images` are photos after the checkpoint's preprocessing; a hundred are
/// enough. The result does not depend on the number of threads.
///
/// # Errors
/// If there are no images, one has another size than the checkpoint's, or a weight is not finite.
pub fn quantize(
    checkpoint: &Checkpoint,
    images: &[Vec<f32>],
    options: &QuantizeOptions,
) -> Result<Quantization, ModelError> {
    options.check()?;
    let original = FloatNetwork::new(checkpoint)?;
    let statistics = |network: &FloatNetwork| {
        Statistics::new(network, images)?.ok_or_else(|| ModelError::Setting {
            setting: "the number of photos for calibration",
            range: "at least 1",
            found: "0".to_string(),
        })
    };
    let mut float = original.clone();
    let mut statistics_of = statistics(&float)?;
    let mut factors = Vec::new();
    if options.equalization {
        factors = equalize(&mut float, &statistics_of.largest);
        statistics_of = statistics(&float)?;
    }
    let statistics = statistics_of;
    let integer = integer_type(options.scheme);
    let input = InputRule::new(&checkpoint.metadata.preprocessing, integer);
    let range = |histogram: &Histogram| covering(histogram.range(options.range), integer);
    let output = |layer: &Layer, histogram: &Histogram| match layer.shape.activation {
        Activation::Relu6 => covering(Activation::Relu6.bounds(), integer),
        Activation::Relu | Activation::Identity => range(histogram),
    };

    let mut means = input.quantized;
    let mut batch = Batch {
        codes: images.par_iter().map(|image| input.codes(image)).collect(),
        means,
    };
    let mut simulation = Simulation {
        input,
        layers: Vec::new(),
        features: means,
    };
    let mut convolutions = Vec::new();
    let layers = float.layers().zip(&float.windows);
    for (index, (layer, windows)) in layers.enumerate() {
        if index == float.body.len() {
            batch.pool(&float, &mut simulation, range(&statistics.features));
        }
        let output = output(layer, &statistics.outputs[index]);
        let weights = IntegerWeights::of(layer, &batch.means, &output, options);
        let taps = options.bias_correction.then_some(&statistics.taps[index]);
        let bias = batch.bias(layer, windows, &weights, taps);
        let integers = CodeLayer::new(&layer.shape, &weights, &bias, batch.means, output);
        batch.run(&integers, windows)?;
        simulation.layers.push(integers);
        convolutions.push(IntegerLayer {
            name: layer.shape.name.clone(),
            operation: IntegerOperation::Convolution(QuantizedConvolution {
                kind: layer.shape.kind,
                geometry: layer.shape.geometry,
                out_channels: layer.shape.out_channels,
                weights: weights.into_kernel_order(&layer.shape)?,
                bias,
                activation: layer.shape.activation,
                fully_connected: false,
            }),
            output: ValueKind::Quantized(output),
        });
        means = output;
    }
    if float.logits.is_none() {
        batch.pool(&float, &mut simulation, range(&statistics.features));
        means = batch.means;
    }
    let network = network(checkpoint, &float, &simulation, convolutions, means);
    network.shapes(checkpoint.metadata.preprocessing.size)?;
    Ok(Quantization {
        network,
        metadata: Metadata {
            preprocessing: simulation.input.preprocessing.clone(),
            folded: true,
            ..checkpoint.metadata.clone()
        },
        float: original,
        factors,
        simulation,
    })
}

/// The activations of all photos after the layers so far.
struct Batch {
    codes: Vec<Vec<u8>>,
    means: Quantized,
}

impl Batch {
    /// Biases as integers. With the float network's tap sums, they are corrected so that the mean
    /// over the photos is the float network's.
    fn bias(
        &self,
        layer: &Layer,
        windows: &ConvSize,
        weights: &IntegerWeights,
        float_taps: Option<&TapSums>,
    ) -> Vec<i32> {
        let shape = &layer.shape;
        let unit = |channel: usize| f64::from(self.means.scale) * f64::from(weights.scale(channel));
        let corrections = float_taps
            .zip(self.tap_sums(layer, windows))
            .map(|(float, ours)| {
                let float = float.mean_sums(shape, |index| f64::from(layer.weights[index]));
                let ours = ours.mean_sums(shape, |index| f64::from(weights.centred(index)));
                let pairs = float.into_iter().zip(ours).enumerate();
                pairs
                    .map(|(channel, (float, ours))| float - ours * unit(channel))
                    .collect::<Vec<f64>>()
            });
        let correction =
            |channel: usize| corrections.as_ref().map_or(0.0, |values| values[channel]);
        let biases = layer.bias.iter().enumerate();
        let biases = biases.map(|(channel, &bias)| {
            let bias = f64::from(bias) + correction(channel);
            (bias / unit(channel)).round() as i32
        });
        biases.collect()
    }

    /// Sums of what the layer's taps read, in units of the scale. `None` without photos.
    fn tap_sums(&self, layer: &Layer, windows: &ConvSize) -> Option<TapSums> {
        let zero = zero_code(&self.means) as i16;
        let each = self.codes.par_iter().map(|codes| {
            let centred: Vec<i16> = codes.iter().map(|&code| i16::from(code) - zero).collect();
            TapSums::of_map(windows, layer.shape.in_channels, &centred)
        });
        // Added in the order of the photos, so that the sums are always the same.
        let each: Vec<TapSums> = each.collect();
        each.into_iter().reduce(|mut all, one| {
            all.merge(&one);
            all
        })
    }

    fn run(&mut self, layer: &CodeLayer, windows: &ConvSize) -> Result<(), ModelError> {
        let codes = self.codes.par_iter().map(|codes| layer.run(codes, windows));
        self.codes = codes.collect::<Result<_, _>>()?;
        self.means = *layer.output();
        Ok(())
    }

    /// Pools the last map to features of this meaning, if the whole map is averaged. A smaller
    /// window keeps the map's meaning, as TFLite's pool does.
    fn pool(&mut self, float: &FloatNetwork, simulation: &mut Simulation, features: Quantized) {
        simulation.features = match float.pool == float.map {
            true => features,
            false => self.means,
        };
        let pooled = self
            .codes
            .par_iter()
            .map(|map| simulation.pooled(float, map, &self.means));
        self.codes = pooled.collect();
        self.means = simulation.features;
    }
}

/// The network with all that is around its convolutions. `output` is the meaning of the logits, or
/// of the features.
fn network(
    checkpoint: &Checkpoint,
    float: &FloatNetwork,
    simulation: &Simulation,
    convolutions: Vec<IntegerLayer>,
    output: Quantized,
) -> IntegerNetwork {
    let layer = |name: &str, operation, output| IntegerLayer {
        name: name.to_string(),
        operation,
        output: ValueKind::Quantized(output),
    };
    let input = &simulation.input;
    let mut layers = Vec::new();
    if !input.of_samples {
        layers.push(layer(QUANTIZE, IntegerOperation::Quantize, input.quantized));
    }
    let mut convolutions = convolutions.into_iter();
    layers.extend(convolutions.by_ref().take(float.body.len()));
    layers.push(match float.pool == float.map {
        true => layer(
            head::GLOBAL_POOL,
            IntegerOperation::Mean,
            simulation.features,
        ),
        false => {
            let window = ConvGeometry {
                kernel: float.pool,
                stride: POOL_STRIDE,
                ..ConvGeometry::POINTWISE
            };
            layer(
                head::AVG_POOL,
                IntegerOperation::AveragePool(window),
                simulation.features,
            )
        }
    });
    layers.extend(convolutions);
    if float.logits.is_some() {
        layers.push(layer(FLATTEN, IntegerOperation::Flatten, output));
        let probabilities = Quantized {
            integer: output.integer,
            scale: 1.0 / 256.0,
            zero_point: output.integer.min(),
        };
        let softmax = IntegerOperation::Softmax { beta: 1.0 };
        layers.push(layer(head::PREDICTIONS, softmax, probabilities));
    } else {
        layers.push(layer(FEATURES, IntegerOperation::Flatten, output));
    }
    let [rows, columns] = checkpoint.metadata.preprocessing.size;
    IntegerNetwork {
        input_shape: [rows, columns, checkpoint.metadata.in_channels],
        input: match input.of_samples {
            true => ValueKind::Quantized(input.quantized),
            false => ValueKind::F32,
        },
        layers,
    }
}

impl Quantization {
    /// An empty comparison with the float network.
    pub fn comparison(&self) -> Comparison {
        let layers = self.float.layers().map(|layer| layer.shape.name.as_str());
        Comparison::new(layers)
    }

    /// Adds an image to a comparison.
    ///
    /// # Errors
    /// If the image has another size.
    pub fn compare(&self, image: &[f32], comparison: &mut Comparison) -> Result<(), ModelError> {
        let float = self.float.run(image)?;
        let mut ours = self.simulation.run(&self.float, image)?;
        for (map, factors) in ours.body.iter_mut().zip(&self.factors) {
            for pixel in map.chunks_mut(factors.len().max(1)) {
                for (value, factor) in pixel.iter_mut().zip(factors) {
                    *value /= factor;
                }
            }
        }
        let pairs = float
            .body
            .iter()
            .chain(&float.logits)
            .zip(ours.body.iter().chain(&ours.logits));
        for (layer, (float, ours)) in comparison.layers.iter_mut().zip(pairs) {
            layer.add(float, ours);
        }
        if let Some((float, ours)) = float.logits.zip(ours.logits) {
            comparison.add_logits(&float, &ours);
        }
        Ok(())
    }
}
