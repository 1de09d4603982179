//! The graph of a checkpoint in f32: a chain of convolutions, with batch normalisation as nodes or,
//! in a folded checkpoint, as biases.

use super::graph::{GRAPH, INPUT, Nodes, conv_attributes, finished, float, initial, value_info};
use super::messages::{Graph, Model};
use crate::architecture::{LOGITS_LAYER, body_layers, feature_channels, parameters};
use crate::checkpoint::metadata::SavedActivation;
use crate::checkpoint::model::Checkpoint;
use crate::endpoint::LayerKind;
use crate::pooling::POOL_WINDOW;

const OPSET: i64 = 17;

/// The graph of a checkpoint.
///
/// # Errors
/// If the head does not average the whole map.
pub(super) fn model(checkpoint: &Checkpoint) -> Result<Model, String> {
    let metadata = &checkpoint.metadata;
    let config = metadata.config();
    let mut initializer = parameters(&config)
        .map_err(|error| error.to_string())?
        .iter()
        .map(|parameter| {
            let name = parameter.name();
            let tensor = checkpoint.parameters.get(&name);
            let tensor = tensor.ok_or_else(|| format!("{name} is missing"))?;
            Ok(initial(&name, &parameter.shape, tensor.values()))
        })
        .collect::<Result<Vec<_>, String>>()?;
    initializer.push(initial(LOW, &[], &[0.0]));
    initializer.push(initial(HIGH, &[], &[6.0]));

    let mut nodes = Nodes {
        last: INPUT.to_string(),
        ..Nodes::default()
    };
    let mut size = metadata.preprocessing.size;
    for layer in body_layers(&config.base).map_err(|error| error.to_string())? {
        let resolved = layer
            .size(1, size[0], size[1])
            .map_err(|error| error.to_string())?;
        let name = layer.endpoint.to_string();
        let groups = match layer.endpoint.kind {
            LayerKind::Depthwise => layer.in_channels,
            LayerKind::Conv | LayerKind::Pointwise => 1,
        };
        let axes = [resolved.rows, resolved.columns];
        let mut inputs = vec![format!("{name}.weight")];
        if metadata.folded {
            inputs.push(format!("{name}.bias"));
        }
        let attributes = conv_attributes(&layer.geometry, groups, axes);
        nodes.push("Conv", &name, &inputs, attributes);
        if !metadata.folded {
            let parts = ["weight", "bias", "running_mean", "running_var"];
            let inputs = parts.map(|part| format!("{name}.batch_norm.{part}"));
            let epsilon = float("epsilon", metadata.batch_norm_epsilon as f32);
            let name = format!("{name}.batch_norm");
            nodes.push("BatchNormalization", &name, &inputs, vec![epsilon]);
        }
        let name = format!("{name}.activation");
        match metadata.activation {
            SavedActivation::Relu6 => {
                nodes.push("Clip", &name, &[LOW, HIGH].map(String::from), vec![])
            }
            SavedActivation::Relu => nodes.push("Relu", &name, &[], vec![]),
        }
        size = axes.map(|axis| axis.output);
    }
    if !config.global_pool && size.iter().any(|&side| side > POOL_WINDOW) {
        return Err(format!(
            "the head averages {POOL_WINDOW}x{POOL_WINDOW} of a map of {size:?}, and only the whole \
             map can be written"
        ));
    }
    nodes.push("GlobalAveragePool", "pool", &[], vec![]);
    let (output, width) = match config.classes() {
        Some(classes) => {
            let inputs = ["weight", "bias"].map(|part| format!("{LOGITS_LAYER}.{part}"));
            nodes.push("Conv", LOGITS_LAYER, &inputs, vec![]);
            ("logits", classes)
        }
        None => {
            let features = feature_channels(&config.base);
            ("features", features.map_err(|error| error.to_string())?)
        }
    };
    nodes.push("Flatten", output, &[], vec![]);

    let [rows, columns] = metadata.preprocessing.size;
    let input = value_info(INPUT, &[metadata.in_channels, rows, columns]);
    let graph = Graph {
        node: nodes.list,
        name: GRAPH.to_string(),
        initializer,
        input: vec![input],
        output: vec![value_info(output, &[width])],
    };
    finished(graph, OPSET, metadata)
}

/// Bounds of ReLU6.
const LOW: &str = "relu6.low";
const HIGH: &str = "relu6.high";
