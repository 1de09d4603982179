//! Folds batch normalisation into the preceding convolution, in f64. The result is convolutions
//! with biases, as inference engines take them.

use std::borrow::Cow;

use mobilenet_kernels::batch_norm::BatchNormParameters;
use mobilenet_kernels::inference;
use mobilenet_kernels::{Activation, Normalizer};

use crate::architecture::{Layer, LayerName, Parameter, Part, body_layers};
use crate::buffer::Buffer;
use crate::config::MobileNetV1Config;
use crate::endpoint::LayerKind;
use crate::error::ModelError;
use crate::initialize::Parameters;

/// A layer of the body with folded batch normalisation.
#[derive(Debug, Clone)]
pub struct FoldedLayer {
    /// The layer.
    pub layer: Layer,
    /// `[out, in, rows, columns]`. `in` is 1 in a depthwise layer.
    pub weights: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

impl FoldedLayer {
    /// The layer with an activation, in the kernels' type.
    pub fn as_kernel(&self, activation: Activation) -> inference::LayerWeights<'_> {
        inference::LayerWeights {
            shape: kernel_shape(&self.layer, activation),
            weights: &self.weights,
            bias: &self.bias,
        }
    }
}

/// The layer's geometry, channels and activation in the kernels' type.
pub(crate) fn kernel_shape(layer: &Layer, activation: Activation) -> inference::LayerShape {
    let (kind, in_channels) = match layer.endpoint.kind {
        // With several filters per channel, see `repetitions` in the plan.
        LayerKind::Depthwise => (inference::ConvKind::Depthwise, layer.out_channels),
        LayerKind::Conv | LayerKind::Pointwise => (inference::ConvKind::Conv, layer.in_channels),
    };
    inference::LayerShape {
        kind,
        geometry: layer.geometry,
        in_channels,
        out_channels: layer.out_channels,
        activation,
    }
}

/// The classifier.
#[derive(Debug, Clone)]
pub struct FoldedLogits {
    /// Number of classes.
    pub classes: usize,
    /// `[classes, channels]`.
    pub weights: Buffer<f32>,
    /// `[classes]`.
    pub bias: Buffer<f32>,
}

/// Folds every layer of the body.
///
/// # Errors
/// If a parameter is missing or has another shape.
pub fn folded_layers(
    config: &MobileNetV1Config,
    parameters: &Parameters,
) -> Result<Vec<FoldedLayer>, ModelError> {
    body_layers(&config.base)?
        .into_iter()
        .map(|layer| fold(config, layer, parameters))
        .collect()
}

/// The classifier, if there is one.
///
/// # Errors
/// If a parameter is missing.
pub fn folded_logits(
    config: &MobileNetV1Config,
    parameters: &Parameters,
) -> Result<Option<FoldedLogits>, ModelError> {
    let Some(classes) = config.classes() else {
        return Ok(None);
    };
    let mut parameters = Cow::Borrowed(parameters);
    let mut get = |part| take(&mut parameters, LayerName::Logits, part);
    Ok(Some(FoldedLogits {
        classes,
        weights: get(Part::Weights)?,
        bias: get(Part::Biases)?,
    }))
}

/// Folds one layer.
fn fold(
    config: &MobileNetV1Config,
    layer: Layer,
    parameters: &Parameters,
) -> Result<FoldedLayer, ModelError> {
    let mut parameters = Cow::Borrowed(parameters);
    let mut weights = take(
        &mut parameters,
        LayerName::Body(layer.endpoint),
        Part::Weights,
    )?;
    let bias = match normalization(config, &layer, &mut parameters)? {
        Normalization::None => vec![0.0; layer.out_channels],
        Normalization::Bias(bias) => bias.into_vec(),
        Normalization::BatchNorm(batch_norm) => {
            batch_norm.parameters().fold_into(weights.to_mut())?
        }
    };
    Ok(FoldedLayer {
        layer,
        weights: weights.into_vec(),
        bias,
    })
}

/// A layer's weights as they are, the scale of each output channel, and the bias.
pub(crate) struct ScaledLayer {
    /// `[out, in, rows, columns]`.
    pub(crate) weights: Buffer<f32>,
    pub(crate) scales: Option<Vec<f64>>,
    pub(crate) bias: Vec<f32>,
}

/// Computes one layer's scales, so that its weights need not be copied: whoever packs them
/// multiplies. The layer's parameters are removed if they are owned.
pub(crate) fn scale(
    config: &MobileNetV1Config,
    layer: &Layer,
    parameters: &mut Cow<'_, Parameters>,
) -> Result<ScaledLayer, ModelError> {
    let weights = take(parameters, LayerName::Body(layer.endpoint), Part::Weights)?;
    let (scales, bias) = match normalization(config, layer, parameters)? {
        Normalization::None => (None, vec![0.0; layer.out_channels]),
        Normalization::Bias(bias) => (None, bias.into_vec()),
        Normalization::BatchNorm(batch_norm) => {
            let pairs = batch_norm.parameters().scale_shift_f64()?;
            let (scales, bias) = pairs.iter().map(|pair| (pair.0, pair.1 as f32)).unzip();
            (Some(scales), bias)
        }
    };
    Ok(ScaledLayer {
        weights,
        scales,
        bias,
    })
}

/// What follows a layer's sums.
enum Normalization {
    None,
    Bias(Buffer<f32>),
    BatchNorm(BatchNorm),
}

struct BatchNorm {
    gamma: Option<Buffer<f32>>,
    beta: Option<Buffer<f32>>,
    mean: Buffer<f32>,
    variance: Buffer<f32>,
    epsilon: f64,
}

impl BatchNorm {
    fn parameters(&self) -> BatchNormParameters<'_> {
        BatchNormParameters {
            gamma: self.gamma.as_deref(),
            beta: self.beta.as_deref(),
            mean: &self.mean,
            variance: &self.variance,
            epsilon: self.epsilon,
        }
    }
}

fn normalization(
    config: &MobileNetV1Config,
    layer: &Layer,
    parameters: &mut Cow<'_, Parameters>,
) -> Result<Normalization, ModelError> {
    let mut get = |part| take(parameters, LayerName::Body(layer.endpoint), part);
    Ok(match config.base.arg_scope.normalizer {
        Normalizer::None => Normalization::None,
        Normalizer::Bias => Normalization::Bias(get(Part::Biases)?),
        Normalizer::BatchNorm(settings) => Normalization::BatchNorm(BatchNorm {
            gamma: settings.scale.then(|| get(Part::Gamma)).transpose()?,
            beta: settings.center.then(|| get(Part::Beta)).transpose()?,
            mean: get(Part::MovingMean)?,
            variance: get(Part::MovingVariance)?,
            epsilon: settings.epsilon,
        }),
    })
}

/// The values of a parameter, moved if the parameters are owned.
fn take(
    parameters: &mut Cow<'_, Parameters>,
    layer: LayerName,
    part: Part,
) -> Result<Buffer<f32>, ModelError> {
    let shape = Vec::new();
    let name = Parameter { layer, part, shape }.name();
    let found = match parameters {
        Cow::Borrowed(parameters) => parameters.get(&name).cloned(),
        Cow::Owned(parameters) => parameters.remove(&name),
    };
    match found {
        Some(array) => Ok(array.into_buffer()),
        None => Err(ModelError::Missing { name }),
    }
}
