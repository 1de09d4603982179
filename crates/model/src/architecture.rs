//! Applies a configuration to `conv_defs`: the layers with width, strides and dilation, and the
//! names and shapes of all parameters. All other code takes shapes from here.

use std::fmt;

use mobilenet_kernels::{ConvGeometry, ConvSize, Normalizer, Padding};

use crate::config::{BaseConfig, MobileNetV1Config, PaddingRule};
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
use crate::endpoint::{Endpoint, LayerKind};
use crate::error::ModelError;

/// Name of the classifier, as in slim.
pub const LOGITS_LAYER: &str = "Logits.Conv2d_1c_1x1";

/// One convolution of the body of a configured network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Name and kind.
    pub endpoint: Endpoint,
    /// Kernel, stride, dilation and padding.
    pub geometry: ConvGeometry,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
}

impl Layer {
    /// Shape of the weights, `[out, in, rows, columns]`. `in` is 1 in a depthwise layer.
    pub fn weight_shape(&self) -> [usize; 4] {
        let [rows, columns] = self.geometry.kernel;
        let inputs = match self.endpoint.kind {
            LayerKind::Depthwise => 1,
            LayerKind::Conv | LayerKind::Pointwise => self.in_channels,
        };
        [self.out_channels, inputs, rows, columns]
    }

    /// Output size for a batch of `height` x `width` inputs.
    ///
    /// # Errors
    /// If the kernel does not fit the input.
    pub fn size(&self, batch: usize, height: usize, width: usize) -> Result<ConvSize, ModelError> {
        self.geometry
            .resolve(batch, height, width)
            .map_err(|source| ModelError::Geometry {
                layer: self.endpoint.to_string(),
                source,
            })
    }
}

/// slim's `depth(d)`: the product in f64, truncated, but at least `min_depth`.
pub fn scaled_depth(depth: usize, depth_multiplier: f64, min_depth: usize) -> usize {
    ((depth as f64 * depth_multiplier) as usize).max(min_depth)
}

/// The layers of the body up to the final endpoint.
///
/// # Errors
/// [`ModelError::DepthMultiplier`] or [`ModelError::OutputStride`] if these settings are invalid,
/// [`ModelError::UnknownEndpoint`] if there is no layer with the final endpoint's name, and
/// [`ModelError::Setting`] for a setting that must not be zero.
pub fn body_layers(config: &BaseConfig) -> Result<Vec<Layer>, ModelError> {
    validate(config)?;
    let depth = |d| scaled_depth(d, config.depth_multiplier, config.min_depth);
    let mut layers = Vec::new();
    let mut channels = config.in_channels;
    let (mut current_stride, mut rate) = (1, 1);
    let mut push = |index, kind, kernel, stride, dilation, channels: &mut usize, out_channels| {
        let endpoint = Endpoint { index, kind };
        layers.push(Layer {
            endpoint,
            geometry: ConvGeometry {
                kernel,
                stride,
                dilation,
                padding: padding(config.padding, kind, kernel, stride, dilation),
            },
            in_channels: *channels,
            out_channels,
        });
        *channels = out_channels;
        endpoint == config.final_endpoint
    };
    for (index, def) in config.conv_defs.iter().enumerate() {
        let (ConvDef::Conv { stride, .. } | ConvDef::DepthSepConv { stride, .. }) = *def;
        // At the limit, a layer loses its stride but keeps the old dilation. Only the layers after
        // it are dilated instead.
        let (layer_stride, layer_rate) = if config.output_stride == Some(current_stride) {
            let layer_rate = rate;
            rate *= stride;
            (1, layer_rate)
        } else {
            current_stride *= stride;
            (stride, 1)
        };
        let reached = match *def {
            // slim's full convolution ignores the limit.
            ConvDef::Conv {
                kernel,
                stride,
                depth: d,
            } => push(
                index,
                LayerKind::Conv,
                kernel,
                stride,
                1,
                &mut channels,
                depth(d),
            ),
            ConvDef::DepthSepConv {
                kernel, depth: d, ..
            } => {
                let middle = channels * config.channel_multiplier;
                let depthwise = LayerKind::Depthwise;
                push(
                    index,
                    depthwise,
                    kernel,
                    layer_stride,
                    layer_rate,
                    &mut channels,
                    middle,
                ) || push(
                    index,
                    LayerKind::Pointwise,
                    [1, 1],
                    1,
                    1,
                    &mut channels,
                    depth(d),
                )
            }
        };
        if reached {
            return Ok(layers);
        }
    }
    Err(ModelError::UnknownEndpoint {
        name: config.final_endpoint.to_string(),
    })
}

fn validate(config: &BaseConfig) -> Result<(), ModelError> {
    let width = config.depth_multiplier;
    if !(width > 0.0 && width.is_finite()) {
        return Err(ModelError::DepthMultiplier { found: width });
    }
    if let Some(found) = config.output_stride.filter(|s| ![8, 16, 32].contains(s)) {
        return Err(ModelError::OutputStride { found });
    }
    for (setting, value) in [
        ("in_channels", config.in_channels),
        ("min_depth", config.min_depth),
        ("channel_multiplier", config.channel_multiplier),
    ] {
        if value == 0 || value > MOST_CHANNELS {
            return Err(ModelError::Setting {
                setting,
                range: "between 1 and 65,536",
                found: value.to_string(),
            });
        }
    }
    if width > MOST_CHANNELS as f64 {
        return Err(ModelError::DepthMultiplier { found: width });
    }
    Ok(())
}

/// Far more than any network has. The limit ensures that sizes cannot overflow.
pub(crate) const MOST_CHANNELS: usize = 1 << 16;

fn padding(
    rule: PaddingRule,
    kind: LayerKind,
    kernel: [usize; 2],
    stride: usize,
    dilation: usize,
) -> Padding {
    match rule {
        PaddingRule::Explicit => {
            // slim pads both axes by the first side of the kernel.
            let total = |side: usize| side.saturating_sub(1) * dilation;
            let side = if kind == LayerKind::Pointwise {
                1
            } else {
                kernel[0]
            };
            let (before, after) = (total(side) / 2, total(side) - total(side) / 2);
            Padding::Explicit {
                top: before,
                bottom: after,
                left: before,
                right: after,
            }
        }
        PaddingRule::Keras if kind == LayerKind::Depthwise && stride == 2 => Padding::Explicit {
            top: 0,
            bottom: 1,
            left: 0,
            right: 1,
        },
        PaddingRule::Same | PaddingRule::Keras => Padding::Same,
    }
}

/// A layer with parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerName {
    /// A layer of the body.
    Body(Endpoint),
    /// The classifier.
    Logits,
}

impl LayerName {
    /// Every layer of slim's network, in order of computation.
    pub fn all() -> impl Iterator<Item = Self> {
        let rows = MOBILENET_V1_CONV_DEFS.iter().enumerate();
        let body = rows.flat_map(|(index, row)| {
            let kinds: &[LayerKind] = match row {
                ConvDef::Conv { .. } => &[LayerKind::Conv],
                ConvDef::DepthSepConv { .. } => &[LayerKind::Depthwise, LayerKind::Pointwise],
            };
            let endpoints = kinds.iter().map(move |&kind| Endpoint { index, kind });
            endpoints.map(Self::Body)
        });
        body.chain([Self::Logits])
    }

    /// Whether the layer is a depthwise convolution.
    pub fn is_depthwise(self) -> bool {
        matches!(self, Self::Body(endpoint) if endpoint.kind == LayerKind::Depthwise)
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(endpoint) => endpoint.fmt(f),
            Self::Logits => f.write_str(LOGITS_LAYER),
        }
    }
}

/// A tensor of a layer, with slim's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Weights of the convolution.
    Weights,
    /// Bias of the convolution.
    Biases,
    /// Scale of batch normalisation.
    Gamma,
    /// Shift of batch normalisation.
    Beta,
    /// Running mean of batch normalisation.
    MovingMean,
    /// Running variance of batch normalisation.
    MovingVariance,
}

impl Part {
    /// All parts, of which a layer has some.
    pub const ALL: [Self; 6] = [
        Self::Weights,
        Self::Biases,
        Self::Gamma,
        Self::Beta,
        Self::MovingMean,
        Self::MovingVariance,
    ];

    /// Whether the tensor belongs to the convolution, not to the normalisation.
    pub fn is_convolution(self) -> bool {
        matches!(self, Self::Weights | Self::Biases)
    }
}

/// One tensor of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The layer.
    pub layer: LayerName,
    /// Which tensor of the layer.
    pub part: Part,
    /// Shape: weights `[out, in, rows, columns]`, all else `[channels]`.
    pub shape: Vec<usize>,
}

impl Parameter {
    /// Our name of the parameter, in files and in candle's `VarBuilder`.
    pub fn name(&self) -> String {
        let suffix = match self.part {
            Part::Weights => "weight",
            Part::Biases => "bias",
            Part::Gamma => "batch_norm.weight",
            Part::Beta => "batch_norm.bias",
            Part::MovingMean => "batch_norm.running_mean",
            Part::MovingVariance => "batch_norm.running_var",
        };
        format!("{}.{suffix}", self.layer)
    }

    /// Whether it holds the weights of a depthwise convolution.
    pub fn is_depthwise(&self) -> bool {
        self.layer.is_depthwise() && self.part == Part::Weights
    }

    /// Whether training changes it by gradients (slim's trainable variables).
    pub fn is_trainable(&self) -> bool {
        !matches!(self.part, Part::MovingMean | Part::MovingVariance)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Always false: every parameter has values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Factor of its L2 term in the loss. 0: no weight decay.
    pub fn weight_decay(&self, config: &BaseConfig) -> f64 {
        let scope = &config.arg_scope;
        let decayed =
            self.part == Part::Weights && (!self.is_depthwise() || scope.regularize_depthwise);
        if decayed { scope.weight_decay } else { 0.0 }
    }
}

/// Parameters of the body, in order of computation.
///
/// # Errors
/// As [`body_layers`].
pub fn body_parameters(config: &BaseConfig) -> Result<Vec<Parameter>, ModelError> {
    let parts: Vec<Part> = match config.arg_scope.normalizer {
        Normalizer::None => vec![],
        Normalizer::Bias => vec![Part::Biases],
        Normalizer::BatchNorm(batch_norm) => [
            (Part::Gamma, batch_norm.scale),
            (Part::Beta, batch_norm.center),
            (Part::MovingMean, true),
            (Part::MovingVariance, true),
        ]
        .into_iter()
        .filter_map(|(part, present)| present.then_some(part))
        .collect(),
    };
    let mut parameters = Vec::new();
    for layer in body_layers(config)? {
        let name = LayerName::Body(layer.endpoint);
        parameters.push(Parameter {
            layer: name,
            part: Part::Weights,
            shape: layer.weight_shape().to_vec(),
        });
        parameters.extend(parts.iter().map(|&part| Parameter {
            layer: name,
            part,
            shape: vec![layer.out_channels],
        }));
    }
    Ok(parameters)
}

/// Number of input channels of the classifier.
///
/// # Errors
/// As [`body_layers`].
pub fn feature_channels(config: &BaseConfig) -> Result<usize, ModelError> {
    Ok(body_layers(config)?
        .last()
        .map_or(config.in_channels, |layer| layer.out_channels))
}

/// Parameters of the whole network, in order of computation.
///
/// # Errors
/// As [`body_layers`].
pub fn parameters(config: &MobileNetV1Config) -> Result<Vec<Parameter>, ModelError> {
    let mut parameters = body_parameters(&config.base)?;
    if let Some(classes) = config.classes() {
        let channels = feature_channels(&config.base)?;
        for (part, shape) in [
            (Part::Weights, vec![classes, channels, 1, 1]),
            (Part::Biases, vec![classes]),
        ] {
            parameters.push(Parameter {
                layer: LayerName::Logits,
                part,
                shape,
            });
        }
    }
    Ok(parameters)
}
