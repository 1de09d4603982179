//! The network on candle: slim's `mobilenet_v1_base` and `mobilenet_v1`.

use candle_core::{DType, Result as CandleResult, Tensor};
use candle_nn::{ModuleT, VarBuilder};
use mobilenet_ops::{
    Activation, Conv2d, ConvGeometry, Normalizer, SeparableConv2d, SeparableConv2dConfig,
    avg_pool2d, global_avg_pool2d,
};

use super::dropout::Dropout;
use super::endpoints::Endpoints;
use crate::architecture::{LOGITS_LAYER, Layer, body_layers};
use crate::config::{ArgScope, BaseConfig, MobileNetV1Config, PredictionFn};
use crate::endpoint::{Endpoint, LayerKind, head};
use crate::error::ModelError;
use crate::pooling::{POOL_STRIDE, POOL_WINDOW};

/// The body of the network: from an image to the last feature map.
#[derive(Debug, Clone)]
pub struct MobileNetV1Base {
    layers: Vec<(Endpoint, BodyLayer)>,
    in_channels: usize,
    out_channels: usize,
    is_training: Option<bool>,
}

/// A layer of the body. slim builds depthwise layers by `separable_conv2d`, others by `conv2d`.
#[derive(Debug, Clone)]
enum BodyLayer {
    Conv(Conv2d),
    Depthwise(SeparableConv2d),
}

impl BodyLayer {
    fn new(layer: &Layer, config: &BaseConfig, vb: VarBuilder) -> CandleResult<Self> {
        let ArgScope {
            normalizer,
            activation,
            ..
        } = config.arg_scope;
        Ok(match layer.endpoint.kind {
            LayerKind::Depthwise => Self::Depthwise(SeparableConv2d::new(
                layer.in_channels,
                SeparableConv2dConfig {
                    out_channels: None,
                    channel_multiplier: config.channel_multiplier,
                    geometry: layer.geometry,
                    normalizer,
                    activation,
                },
                vb,
            )?),
            LayerKind::Conv | LayerKind::Pointwise => Self::Conv(Conv2d::new(
                layer.in_channels,
                layer.out_channels,
                layer.geometry,
                normalizer,
                activation,
                vb,
            )?),
        })
    }

    fn forward_t(&self, xs: &Tensor, train: bool) -> CandleResult<Tensor> {
        match self {
            Self::Conv(layer) => layer.forward_t(xs, train),
            Self::Depthwise(layer) => layer.forward_t(xs, train),
        }
    }
}

impl MobileNetV1Base {
    /// Builds the layers up to the final endpoint. Parameters have the names of
    /// [`crate::architecture::Parameter::name`].
    ///
    /// # Errors
    /// As [`body_layers`], and if a parameter is missing or has another shape.
    pub fn new(config: &BaseConfig, vb: VarBuilder) -> Result<Self, ModelError> {
        let layers = body_layers(config)?;
        let out_channels = layers.last().map_or(0, |layer| layer.out_channels);
        let layers = layers
            .iter()
            .map(|layer| {
                let name = layer.endpoint.to_string();
                Ok((layer.endpoint, BodyLayer::new(layer, config, vb.pp(name))?))
            })
            .collect::<CandleResult<_>>()?;
        Ok(Self {
            layers,
            in_channels: config.in_channels,
            out_channels,
            is_training: config.arg_scope.is_training,
        })
    }

    /// The activation of the final endpoint.
    ///
    /// # Shapes
    /// `[B, in_channels, H, W]` -> `[B, C, H / 32, W / 32]` (rounded up) for the default endpoint
    /// and stride.
    ///
    /// # Errors
    /// If the input has another rank or number of channels, or is too small.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor, ModelError> {
        self.run(xs, train, |_, _| {})
    }

    /// As [`Self::forward_t`], but returns the activations of all layers.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn forward_endpoints(
        &self,
        xs: &Tensor,
        train: bool,
    ) -> Result<(Tensor, Endpoints), ModelError> {
        let mut endpoints = Endpoints::default();
        let last = self.run(xs, train, |name, value| {
            endpoints.push(name.to_string(), value.clone());
        })?;
        Ok((last, endpoints))
    }

    fn run(
        &self,
        xs: &Tensor,
        train: bool,
        mut visit: impl FnMut(Endpoint, &Tensor),
    ) -> Result<Tensor, ModelError> {
        check_input(xs, self.in_channels)?;
        let train = self.is_training.unwrap_or(train);
        let mut xs = xs.clone();
        for (endpoint, layer) in &self.layers {
            xs = layer.forward_t(&xs, train)?;
            visit(*endpoint, &xs);
        }
        Ok(xs)
    }
}

impl ModuleT for MobileNetV1Base {
    fn forward_t(&self, xs: &Tensor, train: bool) -> CandleResult<Tensor> {
        self.forward_t(xs, train).map_err(into_candle)
    }
}

/// The classifier: body, pool, dropout, logits.
#[derive(Debug, Clone)]
pub struct MobileNetV1 {
    base: MobileNetV1Base,
    dropout: Dropout,
    logits: Option<Conv2d>,
    config: MobileNetV1Config,
}

impl MobileNetV1 {
    /// Builds the network. Parameters have the names of [`crate::architecture::Parameter::name`].
    ///
    /// # Errors
    /// As [`body_layers`], and if a parameter is missing or has another shape.
    pub fn new(config: &MobileNetV1Config, vb: VarBuilder) -> Result<Self, ModelError> {
        let keep_prob = config.dropout_keep_prob;
        if !(keep_prob > 0.0 && keep_prob <= 1.0) {
            return Err(ModelError::Setting {
                setting: "dropout_keep_prob",
                range: "in (0, 1]",
                found: keep_prob.to_string(),
            });
        }
        let mut body = config.base.clone();
        // In slim, the classifier's `is_training` overrides that of the scope.
        body.arg_scope.is_training = None;
        let base = MobileNetV1Base::new(&body, vb.clone())?;
        let mut network = Self {
            base,
            dropout: Dropout::new(keep_prob, 0),
            logits: None,
            config: config.clone(),
        };
        network.reset_classifier(config.num_classes, vb)?;
        Ok(network)
    }

    /// Replaces the classifier, as timm's `reset_classifier`. `vb` holds its
    /// `Logits.Conv2d_1c_1x1.weight` and `.bias`. `None` or 0 classes remove the classifier.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape.
    pub fn reset_classifier(
        &mut self,
        num_classes: Option<usize>,
        vb: VarBuilder,
    ) -> Result<(), ModelError> {
        self.config.num_classes = num_classes;
        self.logits = match self.config.classes() {
            Some(classes) => Some(Conv2d::new(
                self.base.out_channels,
                classes,
                ConvGeometry::POINTWISE,
                Normalizer::Bias,
                Activation::Identity,
                vb.pp(LOGITS_LAYER),
            )?),
            None => None,
        };
        Ok(())
    }

    /// Restarts dropout's random numbers from a seed.
    pub fn seed_dropout(&mut self, seed: u64) {
        self.dropout = Dropout::new(self.config.dropout_keep_prob, seed);
    }

    /// The configuration of the network.
    pub fn config(&self) -> &MobileNetV1Config {
        &self.config
    }

    /// Logits, or pooled features if there is no classifier.
    ///
    /// # Shapes
    /// `[B, in_channels, H, W]` -> `[B, classes]`, or `[B, classes, h, w]` without
    /// `spatial_squeeze`, or `[B, C, h, w]` without a classifier. `h` and `w` are 1 for images up
    /// to 224 pixels, and with `global_pool`.
    ///
    /// # Errors
    /// If the input has another rank or number of channels, is too small, or gives a pooled map
    /// that cannot be squeezed.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor, ModelError> {
        let map = self.base.forward_t(xs, train)?;
        let pooled = self.pool(&map)?;
        match &self.logits {
            Some(logits) => self.classify(logits, &pooled, train),
            None => Ok(pooled),
        }
    }

    /// As [`Self::forward_t`], but returns the activations of all layers and of the head.
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn forward_endpoints(
        &self,
        xs: &Tensor,
        train: bool,
    ) -> Result<(Tensor, Endpoints), ModelError> {
        let (map, mut endpoints) = self.base.forward_endpoints(xs, train)?;
        let pooled = self.pool(&map)?;
        let pool = if self.config.global_pool {
            head::GLOBAL_POOL
        } else {
            head::AVG_POOL
        };
        endpoints.push(pool, pooled.clone());
        let Some(logits) = &self.logits else {
            return Ok((pooled, endpoints));
        };
        let logits = self.classify(logits, &pooled, train)?;
        endpoints.push(head::LOGITS, logits.clone());
        if let Some(prediction_fn) = self.config.prediction_fn {
            endpoints.push(head::PREDICTIONS, predictions(&logits, prediction_fn)?);
        }
        Ok((logits, endpoints))
    }

    /// Pooled features of an image, before dropout and classifier.
    ///
    /// # Shapes
    /// `[B, in_channels, H, W]` -> `[B, C, h, w]`, with `h` and `w` as in [`Self::forward_t`].
    ///
    /// # Errors
    /// As [`Self::forward_t`].
    pub fn features(&self, xs: &Tensor) -> Result<Tensor, ModelError> {
        self.pool(&self.base.forward_t(xs, false)?)
    }

    fn pool(&self, map: &Tensor) -> Result<Tensor, ModelError> {
        if self.config.global_pool {
            return Ok(global_avg_pool2d(map)?);
        }
        let (_, _, height, width) = map.dims4()?;
        let window = [height.min(POOL_WINDOW), width.min(POOL_WINDOW)];
        Ok(avg_pool2d(map, window, POOL_STRIDE)?)
    }

    fn classify(
        &self,
        logits: &Conv2d,
        pooled: &Tensor,
        train: bool,
    ) -> Result<Tensor, ModelError> {
        let kept = self.dropout.forward_t(pooled, train)?;
        let logits = logits.forward_t(&kept, train)?;
        if !self.config.spatial_squeeze {
            return Ok(logits);
        }
        match *logits.dims() {
            [_, _, 1, 1] => Ok(logits.squeeze(3)?.squeeze(2)?),
            [_, _, height, width] => Err(ModelError::NotSqueezable { height, width }),
            _ => Err(ModelError::Rank {
                found: logits.rank(),
            }),
        }
    }
}

impl ModuleT for MobileNetV1 {
    fn forward_t(&self, xs: &Tensor, train: bool) -> CandleResult<Tensor> {
        self.forward_t(xs, train).map_err(into_candle)
    }
}

/// Applies the function to the logits of each image or, if they are not squeezed, of each pixel.
fn predictions(logits: &Tensor, prediction_fn: PredictionFn) -> CandleResult<Tensor> {
    let last = logits.rank() - 1;
    let by_pixel = logits.transpose(1, last)?.contiguous()?;
    let mut values = by_pixel
        .flatten_all()?
        .to_dtype(DType::F32)?
        .to_vec1::<f32>()?;
    let classes = by_pixel.dim(last)?;
    values.chunks_exact_mut(classes).for_each(prediction_fn);
    Tensor::from_vec(values, by_pixel.shape(), logits.device())?
        .to_dtype(logits.dtype())?
        .transpose(1, last)
}

fn check_input(xs: &Tensor, expected: usize) -> Result<(), ModelError> {
    let found = match *xs.dims() {
        [_, channels, _, _] => channels,
        _ => return Err(ModelError::Rank { found: xs.rank() }),
    };
    if found != expected {
        return Err(ModelError::InputChannels {
            expected,
            found,
            shape: xs.dims().to_vec(),
        });
    }
    Ok(())
}

fn into_candle(error: ModelError) -> candle_core::Error {
    match error {
        ModelError::Candle(error) => error,
        other => candle_core::Error::wrap(other),
    }
}
