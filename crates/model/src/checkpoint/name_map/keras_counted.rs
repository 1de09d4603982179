//! Keras networks whose author gave layers no names. Keras then counts the layers of each class:
//! `conv2d_3/kernel`, `batch_normalization_7/gamma`. Used only if the file holds weights alone.

use super::convention::{Convention, Framework, no_bookkeeping, tensorflow_weights};
use super::keras;
use crate::architecture::{LayerName, Part};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;
use crate::config::PaddingRule;
use crate::conv_defs::MOBILENET_V1_CONV_DEFS;
use crate::endpoint::LayerKind;
use crate::preprocess::Preprocessing;

pub(super) const CONVENTION: Convention = Convention {
    framework: Framework::KerasCounted,
    name: keras::CONVENTION.name,
    first: &["conv2d/kernel", "conv2d/vars/0"],
    prefix: "",
    names,
    weights: |layer| match layer {
        LayerName::Logits => Layout::Dense,
        LayerName::Body(_) => tensorflow_weights(layer),
    },
    is_bookkeeping: no_bookkeeping,
    defaults,
    is_pytorch: false,
    call: None,
};

fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let last = MOBILENET_V1_CONV_DEFS.len();
    // Number of the layer in its class, and number of the batch normalisation after it.
    let (class, count, batch_norm) = match layer {
        LayerName::Logits => {
            let dense = keras::variables(&format!("{prefix}dense"), part, false);
            let conv = keras::variables(&format!("{prefix}conv2d_{last}"), part, false);
            return [dense, conv].concat();
        }
        LayerName::Body(endpoint) => match endpoint.kind {
            LayerKind::Conv => ("conv2d", 0, 0),
            LayerKind::Depthwise => (
                "depthwise_conv2d",
                endpoint.index.saturating_sub(1),
                (2 * endpoint.index).saturating_sub(1),
            ),
            LayerKind::Pointwise => ("conv2d", endpoint.index, 2 * endpoint.index),
        },
    };
    let owner = if part.is_convolution() {
        counted(class, count)
    } else {
        counted("batch_normalization", batch_norm)
    };
    keras::variables(
        &format!("{prefix}{owner}"),
        part,
        class == "depthwise_conv2d",
    )
}

fn counted(class: &str, count: usize) -> String {
    match count {
        0 => class.to_string(),
        count => format!("{class}_{count}"),
    }
}

pub(in crate::checkpoint) fn defaults() -> Metadata {
    Metadata {
        padding: PaddingRule::Same,
        global_pool: true,
        ..Metadata::new(Preprocessing::unit(crate::DEFAULT_IMAGE_SIZE))
    }
}
