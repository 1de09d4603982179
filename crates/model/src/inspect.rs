//! Cost of the network: output sizes, parameters and multiply-adds of every layer, computed from
//! the layer table.

use std::borrow::Cow;

use serde::Serialize;

use crate::architecture::{Parameter, body_layers, parameters};
use crate::config::MobileNetV1Config;
use crate::endpoint::LayerKind;
use crate::error::ModelError;

/// The cost of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSummary {
    /// slim's name.
    pub name: String,
    /// `conv`, `depthwise`, `pointwise` or `logits`; in [`crate::prior_work`] also the kernel.
    pub kind: Cow<'static, str>,
    /// Stride of the convolution.
    pub stride: usize,
    /// Distance between taps.
    pub dilation: usize,
    /// Rows, columns and channels of the output.
    pub output: [usize; 3],
    /// Number of weights, biases and batch-norm values, including running statistics.
    pub parameters: usize,
    /// Multiplications with weights, per image.
    pub multiply_adds: u64,
}

/// The cost of all layers and their totals, per image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Every layer with parameters.
    pub layers: Vec<LayerSummary>,
    /// Number of all values, including running statistics (Keras' "total").
    pub parameters: usize,
    /// Number of values that training changes (the count of timm and PyTorch).
    pub trainable_parameters: usize,
    /// Of the body and the classifier.
    pub multiply_adds: u64,
    /// Of the body alone, as in the paper's tables.
    pub body_multiply_adds: u64,
}

/// The cost of a network for an input of `height` x `width`.
///
/// # Errors
/// As [`body_layers`], and if the input is too small for a window.
pub fn summary(
    config: &MobileNetV1Config,
    height: usize,
    width: usize,
) -> Result<Summary, ModelError> {
    let all = parameters(config)?;
    let values_of = |name: &str| -> usize {
        all.iter()
            .filter(|parameter| parameter.layer.to_string() == name)
            .map(Parameter::len)
            .sum()
    };
    let (mut height, mut width) = (height, width);
    let mut layers = Vec::new();
    for layer in body_layers(&config.base)? {
        let size = layer.size(1, height, width)?;
        (height, width) = (size.rows.output, size.columns.output);
        let name = layer.endpoint.to_string();
        let weights: usize = layer.weight_shape().iter().product();
        layers.push(LayerSummary {
            kind: Cow::Borrowed(match layer.endpoint.kind {
                LayerKind::Conv => "conv",
                LayerKind::Depthwise => "depthwise",
                LayerKind::Pointwise => "pointwise",
            }),
            stride: layer.geometry.stride,
            dilation: layer.geometry.dilation,
            output: [height, width, layer.out_channels],
            parameters: values_of(&name),
            multiply_adds: (height * width) as u64 * weights as u64,
            name,
        });
    }
    let body_multiply_adds = layers.iter().map(|layer| layer.multiply_adds).sum();
    if let Some(classes) = config.classes() {
        let name = crate::architecture::LOGITS_LAYER.to_string();
        let channels = layers.last().map_or(0, |layer| layer.output[2]);
        layers.push(LayerSummary {
            kind: Cow::Borrowed("logits"),
            stride: 1,
            dilation: 1,
            output: [1, 1, classes],
            parameters: values_of(&name),
            multiply_adds: channels as u64 * classes as u64,
            name,
        });
    }
    Ok(Summary {
        parameters: all.iter().map(Parameter::len).sum(),
        trainable_parameters: all
            .iter()
            .filter(|parameter| parameter.is_trainable())
            .map(Parameter::len)
            .sum(),
        multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
        body_multiply_adds,
        layers,
    })
}
