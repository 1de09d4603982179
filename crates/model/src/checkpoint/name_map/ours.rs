//! Our own names.

use super::convention::{Convention, Framework};
use super::slim;
use crate::architecture::{LayerName, Parameter, Part};
use crate::checkpoint::layout::Layout;

pub(super) const CONVENTION: Convention = Convention {
    framework: Framework::Ours,
    name: "this project",
    first: &["Conv2d_0.weight"],
    prefix: "",
    names,
    weights: |_| Layout::Same,
    is_bookkeeping: |name| name.ends_with(".scale") || name.ends_with(".zero_point"),
    defaults: slim::defaults,
    is_pytorch: false,
    call: Some(|_| Ok("mobilenet_model::checkpoint::load".to_string())),
};

fn names(prefix: &str, layer: LayerName, part: Part) -> Vec<String> {
    let shape = Vec::new();
    vec![format!(
        "{prefix}{}",
        Parameter { layer, part, shape }.name()
    )]
}
