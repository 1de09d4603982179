//! Quantises a network layer by layer, each on what the integers before it make of the photos.

use std::fmt;

use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, Quantized, QuantizedConvolution, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry};

use super::batch::Batch;
use super::comparison::{Comparer, Comparison};
use super::equalization::equalize;
use super::float_network::FloatNetwork;
use super::input_rule::InputRule;
use super::layer::Layer;
use super::options::QuantizeOptions;
use super::range::{Histogram, covering};
use super::statistics::Statistics;
use super::weights::{IntegerWeights, integer_type};
use mobilenet_model::ModelError;
use mobilenet_model::checkpoint::{Checkpoint, Metadata};
use mobilenet_model::endpoint::head;
use mobilenet_model::pooling::POOL_STRIDE;

/// Names of layers that only change the form of values.
const QUANTIZE: &str = "quantize";
const FLAT_LOGITS: &str = "logits";
const FEATURES: &str = "features";

/// A network of integers and what it was made from.
pub struct Quantization {
    /// The network. Its input is a photo's samples where all channels are normalised in the same
    /// way, and numbers elsewhere. Its output are probabilities, or features without a classifier.
    pub network: IntegerNetwork,
    /// The float network's metadata. Its preprocessing gives the numbers that the input's integers
    /// mean.
    pub metadata: Metadata,
    comparer: Comparer,
}

/// Quantises a network. `images` are photos after the checkpoint's preprocessing; a hundred are
/// enough. Work is done on rayon's threads; their number does not change the result.
///
/// # Errors
/// If there are no images, one has another size than the checkpoint's, or a setting or a weight is
/// out of range.
pub fn quantize(
    checkpoint: &Checkpoint,
    images: &[Vec<f32>],
    options: &QuantizeOptions,
) -> Result<Quantization, ModelError> {
    options.check()?;
    let metadata = &checkpoint.metadata;
    if !metadata.head.is_classes() {
        return Err(ModelError::Setting {
            setting: "the last layer of a network of integers",
            range: "a classifier, whose softmax the formats have",
            found: format!("{:?}", metadata.head).to_lowercase(),
        });
    }
    let original = FloatNetwork::new(checkpoint)?;
    let statistics = |network: &FloatNetwork| {
        Statistics::new(network, images)?.ok_or_else(|| ModelError::Setting {
            setting: "the number of photos for calibration",
            range: "at least 1",
            found: "0".to_string(),
        })
    };
    let mut float = original.clone();
    let mut facts = statistics(&float)?;
    let mut factors = Vec::new();
    if options.equalization {
        factors = equalize(&mut float, &facts.largest);
        facts = statistics(&float)?;
    }

    let input = InputRule::new(&metadata.preprocessing, integer_type(options.scheme));
    let [rows, columns] = metadata.preprocessing.size;
    let shape = [rows, columns, metadata.in_channels];
    let mut chain = Chain {
        batch: Batch::new(images, shape, &input),
        layers: Vec::new(),
        options,
    };
    if !input.of_samples {
        // The batch begins behind it.
        chain
            .layers
            .push(layer(QUANTIZE, IntegerOperation::Quantize, input.quantized));
    }
    for (index, (layer, windows)) in float.layers().zip(&float.windows).enumerate() {
        if index == float.body.len() {
            chain.pool(&float, &facts.features)?;
        }
        let output = chain.output(layer, &facts.outputs[index]);
        let meaning = chain.batch.meaning();
        let models = match options.adaptive_rounding {
            true => chain.batch.patches(windows).error_models(&layer.shape)?,
            false => Vec::new(),
        };
        let weights = IntegerWeights::of(layer, &meaning, &output, options, &models);
        let taps = options.bias_correction.then_some(&facts.taps[index]);
        let bias = chain.batch.bias(layer, windows, &weights, taps);
        chain.convolution(layer, weights, bias, output)?;
    }
    match &float.logits {
        Some(_) => chain.probabilities(),
        None => {
            chain.pool(&float, &facts.features)?;
            let meaning = chain.batch.meaning();
            chain
                .layers
                .push(layer(FEATURES, IntegerOperation::Flatten, meaning));
        }
    }
    let network = IntegerNetwork {
        input_shape: shape,
        input: match input.of_samples {
            true => ValueKind::Quantized(input.quantized),
            false => ValueKind::F32,
        },
        layers: chain.layers,
    };
    Ok(Quantization {
        metadata: Metadata {
            preprocessing: input.preprocessing.clone(),
            ..metadata.to_folded()
        },
        comparer: Comparer::new(original, factors, input, &network)?,
        network,
    })
}

/// The network so far, and what it makes of the photos.
struct Chain<'a> {
    batch: Batch,
    layers: Vec<IntegerLayer>,
    options: &'a QuantizeOptions,
}

fn layer(name: &str, operation: IntegerOperation, output: Quantized) -> IntegerLayer {
    IntegerLayer {
        name: name.to_string(),
        operation,
        output: ValueKind::Quantized(output),
    }
}

impl Chain<'_> {
    fn covering(&self, values: &Histogram) -> Quantized {
        let range = values.range(self.options.range);
        covering(range, integer_type(self.options.scheme))
    }

    /// The meaning of a layer's output.
    fn output(&self, layer: &Layer, values: &Histogram) -> Quantized {
        match layer.shape.activation {
            Activation::Relu6 => {
                let range = Activation::Relu6.bounds();
                covering(range, integer_type(self.options.scheme))
            }
            Activation::Relu | Activation::Identity => self.covering(values),
        }
    }

    fn push(&mut self, layer: IntegerLayer) -> Result<(), ModelError> {
        self.batch.run(&layer)?;
        self.layers.push(layer);
        Ok(())
    }

    fn convolution(
        &mut self,
        float: &Layer,
        weights: IntegerWeights,
        bias: Vec<i32>,
        output: Quantized,
    ) -> Result<(), ModelError> {
        let convolution = QuantizedConvolution {
            kind: float.shape.kind,
            geometry: float.shape.geometry,
            out_channels: float.shape.out_channels,
            weights: weights.into_kernel_order(&float.shape)?,
            bias,
            activation: float.shape.activation,
            fully_connected: false,
        };
        let operation = IntegerOperation::Convolution(convolution);
        self.push(layer(&float.shape.name, operation, output))
    }

    /// Appends the pool. Where it averages the whole map, features get a meaning of their own. A
    /// window keeps the map's, as TFLite has it.
    fn pool(&mut self, float: &FloatNetwork, features: &Histogram) -> Result<(), ModelError> {
        self.push(if float.pool == float.map {
            layer(
                head::GLOBAL_POOL,
                IntegerOperation::Mean,
                self.covering(features),
            )
        } else {
            let window = ConvGeometry {
                kernel: float.pool,
                stride: POOL_STRIDE,
                ..ConvGeometry::POINTWISE
            };
            let operation = IntegerOperation::AveragePool(window);
            layer(head::AVG_POOL, operation, self.batch.meaning())
        })
    }

    /// Appends the softmax, whose meaning the format fixes.
    fn probabilities(&mut self) {
        let logits = self.batch.meaning();
        let probabilities = Quantized {
            integer: logits.integer,
            scale: 1.0 / 256.0,
            zero_point: logits.integer.min(),
        };
        let softmax = IntegerOperation::Softmax { beta: 1.0 };
        self.layers
            .push(layer(FLAT_LOGITS, IntegerOperation::Flatten, logits));
        self.layers
            .push(layer(head::PREDICTIONS, softmax, probabilities));
    }
}

impl Quantization {
    /// Compares with the float network on an image after the float network's preprocessing. Several
    /// threads may do so at the same time. The integers are computed by the arithmetic that is the
    /// default everywhere.
    ///
    /// # Errors
    /// If the image has another size.
    pub fn compare(&self, image: &[f32]) -> Result<Comparison, ModelError> {
        self.comparer.compare(image)
    }
}

impl fmt::Debug for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quantization")
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}
