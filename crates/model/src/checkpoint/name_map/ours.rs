//! Our own names.

use crate::architecture::{LayerName, Parameter, Part};

pub(super) fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let shape = Vec::new();
    vec![format!(
        "{prefix}{}",
        Parameter { layer, part, shape }.name()
    )]
}
