//! SSD on candle: every activation is a tensor, trainable, on any device. It needs the feature
//! `candle`. The rest of this crate needs no framework.

use candle_core::Tensor;
use candle_nn::{ModuleT, VarBuilder};
use mobilenet_kernels::ConvKind;
use mobilenet_kernels::inference::LayerShape;
use mobilenet_model::architecture::body_layers;
use mobilenet_model::candle::{MobileNetV1Base, var_builder};
use mobilenet_model::initialize::Parameters;
use mobilenet_model::{ArgScope, Array, BaseConfig, ModelError};
use mobilenet_ops::{Conv2d, Normalizer};

use crate::error::DetectError;
use crate::floats::{FloatLayer, FloatNetwork};
use crate::ssd::SsdConfig;

/// The network of a single-shot detector: body, extra layers, and two predictors on each map.
#[derive(Debug, Clone)]
pub struct SsdNetwork {
    base: MobileNetV1Base,
    extras: Vec<Conv2d>,
    predictors: Vec<Predictor>,
    columns: usize,
}

#[derive(Debug, Clone)]
struct Predictor {
    /// The index of the layer whose map it reads.
    reads: usize,
    /// Boxes and classes.
    heads: [Conv2d; 2],
}

/// Names of a predictor's two layers.
const HEADS: [&str; 2] = ["BoxEncodingPredictor", "ClassPredictor"];

impl SsdNetwork {
    /// Builds the layers of [`SsdConfig::network`]. Parameters have the names of its layers with
    /// `.weight`, `.bias` and `.batch_norm`, and those of the predictors
    /// `BoxPredictor_0.BoxEncodingPredictor.weight` and so on. `normalizer` is that of body and extra
    /// layers; predictors have biases.
    ///
    /// # Errors
    /// As [`SsdConfig::network`], and if a parameter is missing or has another shape.
    pub fn new(
        config: &SsdConfig,
        normalizer: Normalizer,
        vb: VarBuilder,
    ) -> Result<Self, DetectError> {
        let ssd = config.network()?;
        let body = config.body();
        let conv = |shape: &LayerShape, normalizer, vb| {
            let (inputs, outputs) = (shape.in_channels, shape.out_channels);
            let (geometry, activation) = (shape.geometry, shape.activation);
            Conv2d::new(inputs, outputs, geometry, normalizer, activation, vb)
        };
        let extras = ssd.layers.iter().skip(body_layers(&body)?.len());
        let extras = extras.map(|layer| conv(&layer.shape, normalizer, vb.pp(&layer.name)));
        let predictors = ssd.predictors.iter().enumerate().map(|(index, one)| {
            let vb = vb.pp(format!("BoxPredictor_{index}"));
            let head = |shape, name| conv(shape, Normalizer::Bias, vb.pp(name));
            Ok::<_, DetectError>(Predictor {
                reads: one.reads,
                heads: [head(&one.boxes, HEADS[0])?, head(&one.classes, HEADS[1])?],
            })
        });
        let extras = extras.collect::<Result<_, _>>()?;
        let predictors = predictors.collect::<Result<_, _>>()?;
        let arg_scope = ArgScope {
            normalizer,
            ..body.arg_scope
        };
        let base = MobileNetV1Base::new(&BaseConfig { arg_scope, ..body }, vb)?;
        Ok(Self {
            base,
            extras,
            predictors,
            columns: config.columns(),
        })
    }

    /// The network with the weights that a plan is made of, batch normalisation folded in.
    ///
    /// # Errors
    /// If `network` is not `config`'s.
    pub fn folded(config: &SsdConfig, network: &FloatNetwork) -> Result<Self, DetectError> {
        let vb = var_builder(parameters(config, network)?)?;
        Self::new(config, Normalizer::Bias, vb)
    }

    /// What the predictors make of each map: encodings of boxes, and classes before the logistic
    /// function.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` -> for each map `[B, boxes * 4, h, w]` and `[B, boxes * columns, h, w]`.
    ///
    /// # Errors
    /// If the input has another rank or number of channels.
    pub fn forward_maps(&self, xs: &Tensor, train: bool) -> Result<Vec<[Tensor; 2]>, DetectError> {
        let (mut xs, endpoints) = self.base.forward_endpoints(xs, train)?;
        let mut maps: Vec<Tensor> = endpoints.iter().map(|(_, map)| map.clone()).collect();
        for layer in &self.extras {
            xs = layer.forward_t(&xs, train)?;
            maps.push(xs.clone());
        }
        let predictors = self.predictors.iter().map(|Predictor { reads, heads }| {
            let map = &maps[*reads];
            let [boxes, classes] = heads;
            Ok([boxes.forward_t(map, train)?, classes.forward_t(map, train)?])
        });
        predictors.collect()
    }

    /// As [`Self::forward_maps`], but of all maps together, in the order of the anchors.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` -> `[B, anchors, 4]` and `[B, anchors, columns]`.
    ///
    /// # Errors
    /// As [`Self::forward_maps`].
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Result<[Tensor; 2], DetectError> {
        let maps = self.forward_maps(xs, train)?;
        let joined = |head: fn(&[Tensor; 2]) -> &Tensor, values: usize| {
            let rows = maps.iter().map(|map| {
                let cells = head(map).permute((0, 2, 3, 1))?.contiguous()?;
                cells.reshape((cells.dim(0)?, (), values))
            });
            Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 1)
        };
        Ok([
            joined(|[boxes, _]| boxes, 4)?,
            joined(|[_, classes]| classes, self.columns)?,
        ])
    }
}

/// Weights and biases of a network by our names.
fn parameters(config: &SsdConfig, network: &FloatNetwork) -> Result<Parameters, DetectError> {
    let ssd = config.network()?;
    let mut expected: Vec<_> = ssd
        .layers
        .into_iter()
        .map(|one| (one.name, one.shape))
        .collect();
    for (one, found) in ssd.predictors.iter().zip(&network.predictors) {
        if found.reads != one.reads {
            return Err(DetectError::Count {
                what: "the layer that a predictor reads",
                expected: one.reads,
                found: found.reads,
            });
        }
    }
    for (index, one) in ssd.predictors.iter().enumerate() {
        let name = |head| format!("BoxPredictor_{index}.{head}");
        expected.extend([(name(HEADS[0]), one.boxes), (name(HEADS[1]), one.classes)]);
    }
    let heads = network.predictors.iter();
    let heads = heads.flat_map(|one| [&one.boxes, &one.scores]);
    let found: Vec<&FloatLayer> = network.layers.iter().chain(heads).collect();
    if found.len() != expected.len() {
        return Err(DetectError::Count {
            what: "layers",
            expected: expected.len(),
            found: found.len(),
        });
    }
    let mut parameters = Parameters::new();
    for ((name, shape), layer) in expected.into_iter().zip(found) {
        if layer.shape != shape {
            return Err(DetectError::Setting {
                setting: format!("the layer {} ({name})", layer.name),
                range: "the layer that this SSD has there",
                found: format!("{:?}", layer.shape),
            });
        }
        let inputs = match shape.kind {
            ConvKind::Conv => shape.in_channels,
            ConvKind::Depthwise => 1,
        };
        let [rows, columns] = shape.geometry.kernel;
        let weights = [shape.out_channels, inputs, rows, columns];
        let weights = Array::new(weights, layer.weights.clone()).map_err(ModelError::from)?;
        let bias =
            Array::new([shape.out_channels], layer.bias.clone()).map_err(ModelError::from)?;
        parameters.extend([
            (format!("{name}.weight"), weights),
            (format!("{name}.bias"), bias),
        ]);
    }
    Ok(parameters)
}
