//! Writes checkpoints as TFLite files in floating point, with the operators of Google's own.

mod chain;
mod schema;

use std::path::Path;

use chain::{Chain, Constant, Convolution, Numbers};
use mobilenet_kernels::{Activation, ConvGeometry, Padding};
use schema::{FusedActivation, Model};

use crate::architecture::{LOGITS_LAYER, Layer};
use crate::array::Array;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::KEY;
use crate::checkpoint::model::Checkpoint;
use crate::endpoint::{LayerKind, head};
use crate::error::ModelError;
use crate::file::write_atomically;
use crate::fold::{FoldedLayer, folded_layers, folded_logits};
use crate::pooling::{POOL_STRIDE, POOL_WINDOW, pooling};

/// Name of the input.
const INPUT: &str = "pixels";
/// Name of the output of a network without a classifier.
const FEATURES: &str = "features";
/// Name of the logits without their axes of rows and columns.
const FLAT_LOGITS: &str = "logits";

/// Writes a checkpoint as TFLite, in f32.
///
/// The input `pixels` is the preprocessed image, `[1, rows, columns, channels]`, with the
/// checkpoint's image size. The output is `Predictions`, the probabilities `[1, classes]`, or
/// `features` `[1, channels]` without a classifier. Batch normalisation is folded into the weights.
/// Our metadata is included. An existing file is replaced atomically.
///
/// # Errors
/// If the head's window is smaller than the map, or the file cannot be written.
pub fn save_tflite(path: &Path, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let failed = |problem: String| CheckpointError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let bytes = model(checkpoint).and_then(|model| model.encode());
    let bytes = bytes.map_err(failed)?;
    write_atomically(path, &bytes).map_err(|error| failed(error.to_string()))
}

fn model(checkpoint: &Checkpoint) -> Result<Model, String> {
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
            ..POINTWISE
        };
        chain.average_pool(head::AVG_POOL, &window)?;
    }
    match folded_logits(&config, &checkpoint.parameters).map_err(text)? {
        Some(logits) => {
            let channels = logits.weights.len() / logits.classes.max(1);
            chain.conv(Convolution {
                name: LOGITS_LAYER.to_string(),
                geometry: POINTWISE,
                activation: FusedActivation::None,
                multiplier: None,
                out_channels: logits.classes,
                weights: floats(&[logits.classes, 1, 1, channels], &logits.weights),
                bias: floats(&[logits.classes], &logits.bias),
                numbers: Numbers::FLOAT,
            })?;
            chain.flatten(FLAT_LOGITS);
            chain.softmax(head::PREDICTIONS, Numbers::FLOAT);
        }
        None => chain.flatten(FEATURES),
    }
    let mut metadata = metadata.clone();
    metadata.folded = true;
    let json = serde_json::to_string(&metadata).map_err(|error| error.to_string())?;
    Ok(chain.finish(KEY, json))
}

/// The classifier's window.
const POINTWISE: ConvGeometry = ConvGeometry {
    kernel: [1, 1],
    stride: 1,
    dilation: 1,
    padding: Padding::VALID,
};

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
    let (layout, multiplier) = match endpoint.kind {
        LayerKind::Depthwise => (Layout::OneHwc, Some(multiplier)),
        LayerKind::Conv | LayerKind::Pointwise => (Layout::Ohwi, None),
    };
    let weights = Array::new(folded.layer.weight_shape(), folded.weights)
        .and_then(|weights| layout.to_source(weights, 1))
        .map_err(|error| error.to_string())?;
    Ok(Convolution {
        name: endpoint.to_string(),
        geometry,
        activation: activation.into(),
        multiplier,
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
        data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}
