//! Our own names.

use crate::architecture::{LayerName, Parameter, Part};

pub(super) fn names(layer: LayerName, part: Part) -> Vec<String> {
    let shape = Vec::new();
    vec![Parameter { layer, part, shape }.name()]
}
