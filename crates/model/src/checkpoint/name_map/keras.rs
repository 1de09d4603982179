//! Keras: `conv_dw_1/kernel`, `conv_dw_1_bn/gamma`. Older versions have `depthwise_kernel`. Files
//! of weights alone only number a layer's variables: `conv_dw_1/vars/0`.

use super::convention::{Convention, Framework, no_bookkeeping, tensorflow_weights};
use super::limits::{self, mobilenets_layers, no_relu};
use crate::architecture::{LayerName, Part};
use crate::checkpoint::metadata::Metadata;
use crate::config::PaddingRule;
use crate::endpoint::LayerKind;
use crate::preprocess::Preprocessing;

pub(super) const CONVENTION: Convention = Convention {
    framework: Framework::Keras,
    name: "Keras",
    first: &["conv1/kernel", "conv1/vars/0"],
    prefix: "",
    names,
    weights: tensorflow_weights,
    is_bookkeeping: no_bookkeeping,
    defaults,
    is_pytorch: false,
    call: Some(call),
};

fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let (layer, depthwise) = match layer {
        LayerName::Logits => ("conv_preds".to_string(), false),
        LayerName::Body(endpoint) => match endpoint.kind {
            LayerKind::Conv => (format!("conv{}", endpoint.index + 1), false),
            LayerKind::Depthwise => (format!("conv_dw_{}", endpoint.index), true),
            LayerKind::Pointwise => (format!("conv_pw_{}", endpoint.index), false),
        },
    };
    let layer = if part.is_convolution() {
        layer
    } else {
        format!("{layer}_bn")
    };
    variables(&format!("{prefix}{layer}"), part, depthwise)
}

/// Names of a layer's variable: its own, and that by its number in the order of creation.
pub(super) fn variables(layer: &str, part: Part, depthwise: bool) -> Vec<String> {
    let names: &[&str] = match part {
        Part::Weights if depthwise => &["kernel", "depthwise_kernel", "vars/0"],
        Part::Weights => &["kernel", "vars/0"],
        Part::Biases => &["bias", "vars/1"],
        Part::Gamma => &["gamma", "vars/0"],
        Part::Beta => &["beta", "vars/1"],
        Part::MovingMean => &["moving_mean", "vars/2"],
        Part::MovingVariance => &["moving_variance", "vars/3"],
    };
    names.iter().map(|name| format!("{layer}/{name}")).collect()
}

/// Defaults of Keras. Its own image loading resizes the whole photo by nearest or bilinear
/// interpolation, without a crop.
pub(in crate::checkpoint) fn defaults() -> Metadata {
    Metadata {
        padding: PaddingRule::Keras,
        global_pool: true,
        ..Metadata::new(Preprocessing::plain(crate::DEFAULT_IMAGE_SIZE))
    }
}

/// Keras' default. Its MobileNet has no argument for it.
const EPSILON: f64 = 1e-3;

fn call(metadata: &Metadata) -> Result<String, String> {
    mobilenets_layers(metadata)?;
    limits::channels(metadata, |depth, width| (depth as f64 * width) as usize)?;
    no_relu(metadata)?;
    let even_sides = match metadata.padding {
        PaddingRule::Explicit => return Err("symmetric padding".to_string()),
        PaddingRule::Same => ", for images of even sides only",
        PaddingRule::Keras => "",
    };
    let Metadata {
        width,
        channel_multiplier,
        batch_norm_epsilon: epsilon,
        ..
    } = metadata;
    if *epsilon != EPSILON {
        return Err(format!("epsilon other than {EPSILON}, this is {epsilon}"));
    }
    Ok(format!(
        "keras.applications.MobileNet(alpha={width}, depth_multiplier={channel_multiplier}, \
         classes={}, classifier_activation=None, weights=None){even_sides}",
        metadata.classes.unwrap_or(0),
    ))
}
