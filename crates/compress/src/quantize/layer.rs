//! The layers of a network with folded batch normalisation, which f32 kernels run one at a time.

use mobilenet_kernels::conv::conv_with;
use mobilenet_kernels::depthwise::depthwise_with;
use mobilenet_kernels::pointwise::pointwise_with;
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, ConvSize, Epilogue};

use mobilenet_model::ModelError;
use mobilenet_model::architecture::LOGITS_LAYER;
use mobilenet_model::config::MobileNetV1Config;
use mobilenet_model::endpoint::LayerKind;
use mobilenet_model::fold::{folded_layers, folded_logits};
use mobilenet_model::initialize::Parameters;

/// What a convolution is, without its numbers.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) kind: ConvKind,
    pub(crate) geometry: ConvGeometry,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) activation: Activation,
}

/// A convolution of the float network.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) shape: Shape,
    /// `[out, in, rows, columns]`; `in` is 1 in a depthwise layer.
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl Shape {
    /// Weights of one output channel.
    pub(crate) fn filter_len(&self) -> usize {
        let [rows, columns] = self.geometry.kernel;
        match self.kind {
            ConvKind::Depthwise => rows * columns,
            ConvKind::Conv => self.in_channels * rows * columns,
        }
    }

    /// Shape of the weights.
    pub(crate) fn weights(&self) -> [usize; 4] {
        let [rows, columns] = self.geometry.kernel;
        let inputs = self.filter_len() / (rows * columns);
        [self.out_channels, inputs, rows, columns]
    }

    /// The windows on a map of this size.
    ///
    /// # Errors
    /// If the kernel does not fit.
    pub(crate) fn windows(&self, [rows, columns]: [usize; 2]) -> Result<ConvSize, ModelError> {
        let size = self.geometry.resolve(1, rows, columns);
        size.map_err(|source| ModelError::Geometry {
            layer: self.name.clone(),
            source,
        })
    }

    /// Runs the convolution with these weights on one map.
    pub(crate) fn run(
        &self,
        map: &[f32],
        windows: &ConvSize,
        weights: &[f32],
        epilogue: &Epilogue<'_>,
    ) -> Result<Vec<f32>, ModelError> {
        let (inputs, outputs) = (self.in_channels, self.out_channels);
        Ok(match self.kind {
            ConvKind::Depthwise => {
                let multiplier = outputs / inputs.max(1);
                depthwise_with(map, weights, windows, inputs, multiplier, epilogue)?
            }
            ConvKind::Conv if self.geometry.is_pointwise() => {
                let pixels = windows.rows.input * windows.columns.input;
                pointwise_with(map, weights, pixels, inputs, outputs, epilogue)?
            }
            ConvKind::Conv => conv_with(map, weights, windows, inputs, outputs, epilogue)?,
        })
    }
}

impl Layer {
    /// The layers of the body.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape.
    pub(crate) fn of_body(
        config: &MobileNetV1Config,
        parameters: &Parameters,
    ) -> Result<Vec<Self>, ModelError> {
        let activation = config.base.arg_scope.activation;
        let layers = folded_layers(config, parameters)?.into_iter();
        let layers = layers.map(|folded| Self {
            shape: Shape {
                name: folded.layer.endpoint.to_string(),
                kind: match folded.layer.endpoint.kind {
                    LayerKind::Depthwise => ConvKind::Depthwise,
                    LayerKind::Conv | LayerKind::Pointwise => ConvKind::Conv,
                },
                geometry: folded.layer.geometry,
                in_channels: folded.layer.in_channels,
                out_channels: folded.layer.out_channels,
                activation,
            },
            weights: folded.weights,
            bias: folded.bias,
        });
        Ok(layers.collect())
    }

    /// The classifier.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub(crate) fn of_logits(
        config: &MobileNetV1Config,
        parameters: &Parameters,
    ) -> Result<Option<Self>, ModelError> {
        let logits = folded_logits(config, parameters)?;
        Ok(logits.map(|logits| Self {
            shape: Shape {
                name: LOGITS_LAYER.to_string(),
                kind: ConvKind::Conv,
                geometry: ConvGeometry::POINTWISE,
                in_channels: logits.weights.len() / logits.classes.max(1),
                out_channels: logits.classes,
                activation: Activation::Identity,
            },
            weights: logits.weights.into_vec(),
            bias: logits.bias.into_vec(),
        }))
    }

    /// The layer's output, activation included.
    ///
    /// # Errors
    /// If the map has another length.
    pub(crate) fn run(&self, map: &[f32], windows: &ConvSize) -> Result<Vec<f32>, ModelError> {
        let epilogue = Epilogue {
            shift: Some(&self.bias),
            activation: Some(self.shape.activation),
            ..Epilogue::default()
        };
        self.shape.run(map, windows, &self.weights, &epilogue)
    }
}
