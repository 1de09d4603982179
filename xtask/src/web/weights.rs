//! Weights of any kind as a file for browsers: layers whose batch normalisation is folded, and a
//! description of the network and of its rule for photos.

use std::path::Path;

use anyhow::{Result, bail};
use mobilenet::kernels::integer::{IntegerNetwork, IntegerOperation};
use mobilenet::model::checkpoint::{
    Checkpoint, Metadata, ReadLimits, exists, is_quantized, load_integers,
};
use mobilenet::model::fold::{folded_layers, folded_logits};
use mobilenet::model::quantized::Arithmetic;
use mobilenet_web::write;
use serde_json::{Value, json};
use xtask::WebType;

use super::container::Container;
use super::converted::{Converted, precision, rule, short_name};
use super::detector;

/// slim's pooling window.
const POOL_WINDOW: [usize; 2] = [7, 7];

/// Converts weights: a file or folder, a known name, or `hf:OWNER/REPO`.
pub(super) fn convert(weights: &str, dtype: WebType) -> Result<Converted> {
    if let Some(converted) = detector::convert(weights, dtype)? {
        return Ok(converted);
    }
    let checkpoint = mobilenet_cli::load(weights)?;
    if !checkpoint.metadata.head.is_classes() {
        bail!("the page names classes; the last layer of {weights} tells something else");
    }
    let path = Path::new(weights);
    let limits = ReadLimits::default();
    let (precision, bytes) = if exists(path) && is_quantized(path, limits)? {
        (
            "integers",
            of_integers(&load_integers(path, limits)?, &checkpoint.metadata)?,
        )
    } else {
        (precision(dtype), of_floats(&checkpoint, dtype)?)
    };
    let metadata = &checkpoint.metadata;
    Ok(Converted {
        name: short_name(weights),
        precision,
        size: metadata.preprocessing.size,
        classes: metadata.classes.unwrap_or(0),
        detects: false,
        bytes,
    })
}

fn of_floats(checkpoint: &Checkpoint, dtype: WebType) -> Result<Vec<u8>> {
    let metadata = &checkpoint.metadata;
    let config = metadata.config();
    if metadata.channel_multiplier != 1 {
        bail!("networks with several depthwise filters a channel are not for browsers");
    }
    let mut container = Container::default();
    let mut shapes = Vec::new();
    for (index, layer) in folded_layers(&config, &checkpoint.parameters)?
        .iter()
        .enumerate()
    {
        let shape = layer.as_kernel(config.base.arg_scope.activation).shape;
        // Of the others, each weight affects more of the result, and they are few.
        let is_pointwise = index > 0 && shape.geometry.kernel == [1, 1];
        let dtype = if is_pointwise { dtype } else { WebType::F32 };
        container.add_floats(
            index,
            dtype,
            &layer.layer.weight_shape(),
            &layer.weights,
            &layer.bias,
        )?;
        shapes.push(shape);
    }
    if let Some(head) = folded_logits(&config, &checkpoint.parameters)? {
        let shape = [head.classes, head.weights.len() / head.classes.max(1)];
        container.add_floats(shapes.len(), dtype, &shape, &head.weights, &head.bias)?;
    }
    let [rows, columns] = metadata.preprocessing.size;
    let pooling = (!config.global_pool).then_some(POOL_WINDOW);
    let network = write::float_network(
        [rows, columns, metadata.in_channels],
        pooling,
        config.classes(),
        &shapes,
    );
    container.into_bytes(&about(metadata, &network)?)
}

fn of_integers(network: &IntegerNetwork, metadata: &Metadata) -> Result<Vec<u8>> {
    let is_convolution = |index: &usize| {
        matches!(
            network.layers[*index].operation,
            IntegerOperation::Convolution(_)
        )
    };
    let is_pool = |index: &usize| {
        let operation = &network.layers[*index].operation;
        matches!(
            operation,
            IntegerOperation::AveragePool(_) | IntegerOperation::Mean
        )
    };
    let layers = 0..network.layers.len();
    let (Some(features), Some(logits)) = (
        layers.clone().rfind(is_pool),
        layers.clone().rfind(is_convolution),
    ) else {
        bail!("a network of integers without a pool and a classifier is not for browsers");
    };
    let mut container = Container::default();
    for (index, layer) in network.layers.iter().enumerate() {
        let IntegerOperation::Convolution(convolution) = &layer.operation else {
            continue;
        };
        container.add_integers(index, convolution);
    }
    let words = write::integer_network(network, Arithmetic::Xnnpack, [features, logits]);
    container.into_bytes(&about(metadata, &words)?)
}

/// What the header says.
fn about(metadata: &Metadata, network: &[u32]) -> Result<Value> {
    let classes = metadata.classes.unwrap_or(0);
    let label = |class| {
        let name = metadata.labels.name(class, classes);
        name.map_or_else(|| format!("class {class}"), str::to_string)
    };
    Ok(json!({
        "network": network,
        "rule": write::rule(&rule(&metadata.preprocessing)),
        "labels": (0..classes).map(label).collect::<Vec<_>>(),
        "least_probability": metadata.least_probability,
        "source": metadata.source,
    }))
}
