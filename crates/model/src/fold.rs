//! Folds batch normalisation into the preceding convolution, in f64. The result is convolutions
//! with biases, as inference engines take them.

use std::borrow::Cow;

use mobilenet_kernels::batch_norm::BatchNormParameters;
use mobilenet_kernels::inference;
use mobilenet_kernels::{Activation, Normalizer};

use crate::architecture::{Layer, LayerName, Parameter, Part, body_layers};
use crate::config::MobileNetV1Config;
use crate::endpoint::{Endpoint, LayerKind};
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
    pub weights: Vec<f32>,
    /// `[classes]`.
    pub bias: Vec<f32>,
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
        .map(|layer| fold(config, layer, &mut Cow::Borrowed(parameters)))
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
    let get = |part| values(parameters, LayerName::Logits, part);
    Ok(Some(FoldedLogits {
        classes,
        weights: get(Part::Weights)?,
        bias: get(Part::Biases)?,
    }))
}

/// Folds one layer. Its parameters are removed if they are owned.
pub(crate) fn fold(
    config: &MobileNetV1Config,
    layer: Layer,
    parameters: &mut Cow<'_, Parameters>,
) -> Result<FoldedLayer, ModelError> {
    let endpoint: Endpoint = layer.endpoint;
    let mut get = |part| take(parameters, LayerName::Body(endpoint), part);
    let mut weights = get(Part::Weights)?;
    let bias = match config.base.arg_scope.normalizer {
        Normalizer::None => vec![0.0; layer.out_channels],
        Normalizer::Bias => get(Part::Biases)?,
        Normalizer::BatchNorm(settings) => {
            let gamma = settings.scale.then(|| get(Part::Gamma)).transpose()?;
            let beta = settings.center.then(|| get(Part::Beta)).transpose()?;
            BatchNormParameters {
                gamma: gamma.as_deref(),
                beta: beta.as_deref(),
                mean: &get(Part::MovingMean)?,
                variance: &get(Part::MovingVariance)?,
                epsilon: settings.epsilon,
            }
            .fold_into(&mut weights)?
        }
    };
    Ok(FoldedLayer {
        layer,
        weights,
        bias,
    })
}

/// The values of a parameter, moved if the parameters are owned.
fn take(
    parameters: &mut Cow<'_, Parameters>,
    layer: LayerName,
    part: Part,
) -> Result<Vec<f32>, ModelError> {
    match parameters {
        Cow::Borrowed(parameters) => values(parameters, layer, part),
        Cow::Owned(parameters) => {
            let shape = Vec::new();
            let name = Parameter { layer, part, shape }.name();
            match parameters.remove(&name) {
                Some(tensor) => Ok(tensor.into_values()),
                None => Err(ModelError::Missing { name }),
            }
        }
    }
}

fn values(parameters: &Parameters, layer: LayerName, part: Part) -> Result<Vec<f32>, ModelError> {
    let shape = Vec::new();
    let name = Parameter { layer, part, shape }.name();
    match parameters.get(&name) {
        Some(tensor) => Ok(tensor.values().to_vec()),
        None => Err(ModelError::Missing { name }),
    }
}
