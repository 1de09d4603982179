//! The network in floating point, with the operators of Google's own files.

use mobilenet_kernels::{Activation, ConvGeometry};

use super::chain::{Chain, Constant, Convolution, Numbers};
use super::schema::{Form, FusedActivation, Model};
use crate::architecture::{LOGITS_LAYER, Layer};
use crate::array::Array;
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::KEY;
use crate::checkpoint::model::Checkpoint;
use crate::endpoint::{LayerKind, head};
use crate::error::ModelError;
use crate::fold::{FoldedLayer, folded_layers, folded_logits};
use crate::little_endian::bytes_of;
use crate::pooling::{POOL_STRIDE, POOL_WINDOW, pooling};

/// Name of the input.
const INPUT: &str = "pixels";
/// Name of the output of a network without a classifier.
const FEATURES: &str = "features";
/// Name of the logits without their axes of rows and columns.
const FLAT_LOGITS: &str = "logits";

/// The graph of a checkpoint.
///
/// # Errors
/// If the checkpoint's image size does not suit its network.
pub(super) fn model(checkpoint: &Checkpoint) -> Result<Model, String> {
    let text = |error: ModelError| error.to_string();
    let metadata = &checkpoint.metadata;
    let config = metadata.config();
    let [rows, columns] = metadata.preprocessing.size;
    let mut chain = Chain::new(INPUT, [rows, columns, metadata.in_channels], Numbers::FLOAT);
    for layer in folded_layers(&config, &checkpoint.parameters).map_err(text)? {
        let activation = metadata.activation.into();
        chain.conv(body_layer(layer, metadata.channel_multiplier, activation)?)?;
    }
    let size = chain.size();
    pooling(config.global_pool, size).map_err(text)?;
    if config.global_pool {
        chain.mean(head::GLOBAL_POOL, Numbers::FLOAT);
    } else {
        let window = ConvGeometry {
            kernel: size.map(|side| side.min(POOL_WINDOW)),
            stride: POOL_STRIDE,
            ..ConvGeometry::POINTWISE
        };
        chain.average_pool(head::AVG_POOL, &window)?;
    }
    if !metadata.head.is_classes() {
        return Err("its last layer is no classifier, whose softmax the format has".to_string());
    }
    match folded_logits(&config, &checkpoint.parameters).map_err(text)? {
        Some(logits) => {
            let channels = logits.weights.len() / logits.classes.max(1);
            chain.conv(Convolution {
                name: LOGITS_LAYER.to_string(),
                geometry: ConvGeometry::POINTWISE,
                activation: FusedActivation::None,
                form: Form::Full,
                out_channels: logits.classes,
                weights: floats(&[logits.classes, 1, 1, channels], &logits.weights),
                bias: floats(&[logits.classes], &logits.bias),
                numbers: Numbers::FLOAT,
            })?;
            chain.flatten(FLAT_LOGITS);
            chain.softmax(head::PREDICTIONS, 1.0, Numbers::FLOAT);
        }
        None => chain.flatten(FEATURES),
    }
    let json = serde_json::to_string(&metadata.to_folded()).map_err(|error| error.to_string())?;
    Ok(chain.finish(KEY, json))
}

fn body_layer(
    folded: FoldedLayer,
    multiplier: usize,
    activation: Activation,
) -> Result<Convolution, String> {
    let Layer {
        endpoint,
        geometry,
        out_channels,
        ..
    } = folded.layer;
    let (layout, form) = match endpoint.kind {
        LayerKind::Depthwise => (Layout::OneHwc, Form::Depthwise { multiplier }),
        LayerKind::Conv | LayerKind::Pointwise => (Layout::Ohwi, Form::Full),
    };
    let weights = Array::new(folded.layer.weight_shape(), folded.weights)
        .and_then(|weights| layout.to_source(weights, 1))
        .map_err(|error| error.to_string())?;
    Ok(Convolution {
        name: endpoint.to_string(),
        geometry,
        activation: activation.into(),
        form,
        out_channels,
        weights: floats(weights.shape(), weights.values()),
        bias: floats(&[out_channels], &folded.bias),
        numbers: Numbers::FLOAT,
    })
}

fn floats(shape: &[usize], values: &[f32]) -> Constant {
    Constant {
        shape: shape.to_vec(),
        numbers: Numbers::FLOAT,
        data: bytes_of(values),
    }
}
